/**
 * The path below which the server is: "" or, for example, "/snapwatch". The server puts it into the element <base> of
 * the page. Addresses that do not go through the router's links begin with it.
 */
export const basePath = new URL(document.baseURI).pathname.replace(/\/$/, "");

/** The address of the server for other programs, such as agents. */
export const serverUrl = window.location.origin + basePath;
