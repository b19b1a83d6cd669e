// A server with a base path: every page, file and request is below it.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import {
  collectErrors,
  localMachine,
  newPage,
  owner,
  setUp,
  signIn,
  startBrowser,
  startFamily,
  startServer,
  test,
  until,
} from "./harness.mjs";

const base = "/tools/snapwatch";
let site;
let browser;
let page;
const errors = [];
const requested = []; // the paths of all requests

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer({ env: { SNAPWATCH_BASE_PATH: base } })]);
  page = await newPage(browser, { viewport: { width: 1300, height: 900 } });
  collectErrors(page, errors, /WebSocket|401/);
  page.on("request", (request) => requested.push(new URL(request.url()).pathname));
  page.on("websocket", (socket) => requested.push(new URL(socket.url()).pathname));
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

const location = () => page.evaluate(() => window.location.pathname);

test("the setup link and the cookies have the base path", async () => {
  assert.equal(new URL(await site.setupLink()).pathname, `${base}/setup`);
  await setUp(page, site);
  const cookies = await page.context().cookies();
  assert.deepEqual(new Set(cookies.map((cookie) => cookie.path)), new Set([base]));
});

test("a machine opens from the list, shows live data, and survives a reload", async () => {
  const machine = await localMachine(site);
  await page.locator("table.fleet tbody a").first().click();
  await page.locator("tr[data-pid]").first().waitFor();
  assert.equal(await location(), `${base}/machines/${machine}`);
  const family = await startFamily(site, 4325);
  // The table renders only the rows that are visible, and other processes may come before this one.
  await page.getByLabel("Filter processes").fill("sleep 4325");
  await page.locator(`tr[data-pid="${family.child}"]`).waitFor(); // only the live view can add it to the page
  await page.reload();
  await page.locator(`tr[data-pid="${family.child}"]`).waitFor();

  const row = page.locator(`tr[data-pid="${family.child}"]`);
  assert.match(await row.locator("a.name").getAttribute("href"), new RegExp(`^${base}/machines/`));
  await row.locator("a.name").click();
  await page.locator(".relatives tr[data-pid]").first().waitFor();
  assert.equal(await location(), `${base}/machines/${machine}/processes/${family.child}`);
  await page.goBack();
  await row.click();
  await page.keyboard.press("Enter");
  await page.locator(".relatives tr[data-pid]").first().waitFor();
  assert.equal(await location(), `${base}/machines/${machine}/processes/${family.child}`);
  await page.reload();
  await page.locator(".relatives tr[data-pid]").first().waitFor();
  await family.end();
});

test("pages that are loaded on their first use, and links for other programs", async () => {
  await page.getByRole("link", { name: "Administration" }).click();
  await page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name: "Add machines" }).click();
  await page.getByLabel("Name").fill("rack 7");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByText(`snapwatch-agent --server ${site.url}`).waitFor();
  assert.ok(site.url.endsWith(base));
  await page.getByLabel("Find processes").fill("snapwatch");
  await page.getByLabel("Find processes").press("Enter");
  await page.locator(".match").first().waitFor();
  assert.equal(await location(), `${base}/find`);
  await page.goto(`${site.url}/nowhere`);
  await page.getByText("There is no page at this address.").waitFor();
});

test("an export is downloaded", async () => {
  await page.goto(`${site.url}/machines/${await localMachine(site)}`);
  await page.getByRole("button", { name: "Export range" }).click();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Processes (CSV)" }).click(),
  ]);
  assert.ok(download.url().startsWith(`${site.url}/api/v1/machines/`), download.url());
  assert.equal(await download.failure(), null);
});

test("sign out, and sign in to the page that was requested", async () => {
  const machine = await localMachine(site);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await location(), `${base}/login`);
  assert.deepEqual(
    (await page.context().cookies()).filter(({ name }) => name === "snapwatch"),
    [],
  );
  await page.goto(`${site.url}/machines/${machine}?sort=cpu`);
  await signIn(page, owner);
  await page.locator("tr[data-pid]").first().waitFor();
  await until("the address of the machine", async () => (await location()) === `${base}/machines/${machine}`);
});

test("everything was requested below the base path, without errors", () => {
  const outside = requested.filter((path) => path !== base && !path.startsWith(`${base}/`));
  assert.deepEqual(outside, []);
  assert.ok(requested.includes(`${base}/api/v1/live`), requested.join(" "));
  assert.deepEqual(errors, []);
});
