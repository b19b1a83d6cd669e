// Who gets in, in a real browser: the first user, log-in, roles, and being shown out.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { api, browser, logIn, owner, setUp, thisMachine, until, up } from "./site.mjs";

let site;
let chromium;
let page;
const faults = [];

before(async () => {
  chromium = await browser();
  site = await up();
  page = await newPage();
});

after(async () => {
  await chromium?.close();
  await site?.stop();
  site?.remove();
});

/** A page of a browser that nobody has used. */
async function newPage() {
  const context = await chromium.newContext({ viewport: { width: 1200, height: 800 } });
  const fresh = await context.newPage();
  fresh.setDefaultTimeout(20_000);
  fresh.on("pageerror", (error) => faults.push(String(error)));
  fresh.on(
    "console",
    (message) =>
      message.type() === "error" && !/WebSocket|40[1349]|422/.test(message.text()) && faults.push(message.text()),
  );
  return fresh;
}

const addUser = (name, tags) =>
  api(site, "/api/v1/users", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name, password: owner.password, tags }),
  });

test("a stranger gets the log-in page, and nothing else", async () => {
  await page.goto(`${site.url}/machines/anything?sort=cpu`);
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.getByText("Nobody can log in yet.").waitFor();
  assert.equal(await page.locator("table").count(), 0);
});

test("the printed link makes the first user, once", async () => {
  const link = await site.setupLink();
  site.setupLink = async () => link;
  await page.goto(link);
  await page.getByLabel("Name").fill(owner.name);
  await page.getByLabel("Password", { exact: true }).fill("owner owner owner");
  await page.getByLabel("Password again").fill("owner owner owner");
  await page.getByRole("button", { name: "Begin" }).click();
  await page.getByText("must not contain the user name").waitFor();
  await setUp(page, site);
  const other = await newPage();
  await other.goto(link);
  await other.getByLabel("Name").fill("other");
  await other.getByLabel("Password", { exact: true }).fill(owner.password);
  await other.getByLabel("Password again").fill(owner.password);
  await other.getByRole("button", { name: "Begin" }).click();
  await other.getByText("The setup link is invalid or was used before").waitFor();
  await other.context().close();
});

test("the session survives a reload, and its cookie is out of a script's reach", async () => {
  await page.reload();
  await page.getByRole("heading", { name: "Machines" }).waitFor();
  assert.equal(await page.evaluate(() => document.cookie), "");
  const [cookie] = (await page.context().cookies()).filter((c) => c.name === "snapwatch");
  assert.ok(cookie.httpOnly && cookie.sameSite === "Strict", JSON.stringify(cookie));
});

test("log out, log in with a wrong and the right password, and go on where one wanted to", async () => {
  const machine = await thisMachine(site);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.goto(`${site.url}/machines/${machine}?sort=cpu`);
  await logIn(page, { ...owner, password: "not the password" });
  await page.getByText("is wrong").waitFor();
  await logIn(page, owner);
  await page.locator("table.processes tbody tr").first().waitFor();
  assert.match(page.url(), new RegExp(`/machines/${machine}\\?sort=cpu`));
  await page.getByRole("heading", { name: "Agent" }).waitFor();
});

test("a user sees machines as tags are granted, and no administration", async () => {
  const machine = await thisMachine(site);
  await addUser("reader", ["web"]);
  const reader = await newPage();
  await reader.goto(site.url);
  await logIn(reader, { name: "reader", password: owner.password });
  await reader.getByText("You see no machine yet.").waitFor();
  const tag = (tags) =>
    api(site, `/api/v1/machines/${machine}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ tags }),
    });
  await reader.goto(`${site.url}/machines/${machine}`);
  await reader.getByText("There is no such machine.").waitFor();
  await tag(["web", "db"]);
  await reader.goto(`${site.url}/machines/${machine}`);
  await reader.locator("table.processes tbody tr").first().waitFor();
  await reader.locator(".badge.up", { hasText: "live" }).waitFor();
  assert.equal(await reader.getByRole("heading", { name: "Agent" }).count(), 0, "a user must not configure");
  await tag(["db"]);
  await reader.getByText("There is no such machine.").waitFor();
  await reader.context().close();
});

test("a session that ends elsewhere ends on the page, live view and all", async () => {
  await addUser("guest", ["*"]);
  const guest = await newPage();
  await guest.goto(`${site.url}/machines/${await thisMachine(site)}`);
  await logIn(guest, { name: "guest", password: owner.password });
  await guest.locator(".badge.up", { hasText: "live" }).waitFor();
  const ended = Date.now();
  await api(site, "/api/v1/users/guest", {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ disabled: true }),
  });
  await guest.getByRole("heading", { name: "Log in" }).waitFor();
  assert.ok(Date.now() - ended < 4000, `it took ${Date.now() - ended} ms`);
  await logIn(guest, { name: "guest", password: owner.password });
  await guest.getByText("is wrong").waitFor();
  await guest.context().close();
});

test("one's account: password, sessions", async () => {
  await page.getByRole("link", { name: owner.name }).click();
  await page.getByRole("heading", { name: owner.name }).waitFor();
  await page.getByText("this one").waitFor();
  const elsewhere = await newPage();
  await elsewhere.goto(site.url);
  await logIn(elsewhere, owner);
  await elsewhere.getByRole("heading", { name: "Machines" }).waitFor();
  const fresh = "a horse of another colour";
  await page.getByLabel("Present password").fill("wrong");
  await page.getByLabel("New password", { exact: true }).fill(fresh);
  await page.getByLabel("New password again").fill(fresh);
  await page.getByRole("button", { name: "Change" }).click();
  await page.getByText("must be the current password of this account").waitFor();
  await page.getByLabel("Present password").fill(owner.password);
  await page.getByRole("button", { name: "Change" }).click();
  await page.getByText("Changed.").waitFor();
  await elsewhere.getByRole("heading", { name: "Log in" }).waitFor();
  await logIn(elsewhere, { ...owner, password: fresh });
  await elsewhere.getByRole("heading", { name: "Machines" }).waitFor();
  await page.reload();
  await page.getByRole("button", { name: "End", exact: true }).click();
  await elsewhere.getByRole("heading", { name: "Log in" }).waitFor();
  await until(
    "one session is left",
    async () => (await page.getByRole("button", { name: "End", exact: true }).count()) === 0,
  );
  await elsewhere.context().close();
  owner.password = fresh;
});

test("nothing went wrong on the pages", () => assert.deepEqual(faults, []));
