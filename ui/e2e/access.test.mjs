// Accounts and administration: setup, sign-in, roles, sessions, users, keys, tokens and the audit log.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import {
  addUser,
  api,
  collectErrors,
  fillSetupForm,
  localMachine,
  newPage,
  owner,
  patchMachine,
  setUp,
  signIn,
  startBrowser,
  startServer,
  test,
  until,
} from "./harness.mjs";

const agentProgram = fileURLToPath(new URL("../../bin/snapwatch-agent", import.meta.url));

let site;
let browser;
let page;
const errors = [];

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer()]);
  page = await newUserPage();
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

/** Opens a page without a session. */
async function newUserPage() {
  const fresh = await newPage(browser, { viewport: { width: 1300, height: 900 } });
  collectErrors(fresh, errors, /WebSocket|40[1349]|422/);
  return fresh;
}

const signInHeading = (target) => target.getByRole("heading", { name: "Sign in" });
const adminTab = (name) => page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name }).click();

test("without a session, there is only the sign-in page", async () => {
  await page.goto(`${site.url}/machines/anything?sort=cpu`);
  await signInHeading(page).waitFor();
  await page.getByText("There are no accounts yet.").waitFor();
  assert.equal(await page.locator("table").count(), 0);
});

test("the setup link creates the first account, once", async () => {
  const link = await site.setupLink();
  await page.goto(link);
  await fillSetupForm(page, { name: owner.name, password: "owner owner owner" });
  await page.getByText("must not contain").waitFor();
  await setUp(page, site);
  const other = await newUserPage();
  await other.goto(link);
  await fillSetupForm(other, { name: "other", password: owner.password });
  await other.getByText("The setup link is invalid or was used before.").waitFor();
  await other.context().close();
});

test("a session survives a reload, and scripts cannot read its cookie", async () => {
  await page.reload();
  await page.getByRole("heading", { name: "Machines" }).waitFor();
  assert.equal(await page.evaluate(() => document.cookie), "");
  const [cookie] = (await page.context().cookies()).filter((c) => c.name === "snapwatch");
  assert.ok(cookie.httpOnly && cookie.sameSite === "Strict", JSON.stringify(cookie));
});

test("sign out, sign in with a wrong and the right password, and continue to the requested page", async () => {
  const machine = await localMachine(site);
  await page.getByRole("button", { name: "Sign out" }).click();
  await signInHeading(page).waitFor();
  await page.goto(`${site.url}/machines/${machine}?sort=cpu`);
  await signIn(page, { ...owner, password: "not the password" });
  await page.getByText("is wrong").waitFor();
  await signIn(page, owner);
  await page.locator("table.processes tbody tr").first().waitFor();
  assert.match(page.url(), new RegExp(`/machines/${machine}\\?sort=cpu`));
  await page.getByRole("button", { name: "Settings" }).waitFor();
});

test("a user sees the machines with granted tags, but no settings", async () => {
  const machine = await localMachine(site);
  const notFound = "This machine does not exist, or you do not have access to it.";
  await addUser(site, "reader", ["web"]);
  const reader = await newUserPage();
  await reader.goto(site.url);
  await signIn(reader, { name: "reader", password: owner.password });
  await reader.getByText("You do not have access to any machines yet.").waitFor();
  await reader.goto(`${site.url}/machines/${machine}`);
  await reader.getByText(notFound).waitFor();
  await patchMachine(site, machine, { tags: ["web", "db"] });
  await reader.goto(`${site.url}/machines/${machine}`);
  await reader.locator("table.processes tbody tr").first().waitFor();
  await reader.locator(".badge.up", { hasText: "Live" }).waitFor();
  assert.equal(await reader.getByRole("button", { name: "Settings" }).count(), 0, "a user must not change settings");
  await patchMachine(site, machine, { tags: ["db"] });
  await reader.getByText(notFound).waitFor();
  await reader.context().close();
});

test("disabling a user closes the live view and ends the session on the page", async () => {
  await addUser(site, "guest", ["*"]);
  const guest = await newUserPage();
  const sockets = [];
  guest.on("websocket", (socket) => sockets.push(socket));
  await guest.goto(`${site.url}/machines/${await localMachine(site)}`);
  await signIn(guest, { name: "guest", password: owner.password });
  await guest.locator(".badge.up", { hasText: "Live" }).waitFor();
  const closed = sockets.at(-1).waitForEvent("close", { timeout: 0 });
  await api(site, "/api/v1/users/guest", { method: "PATCH", body: { disabled: true } });
  await closed; // The server closes the connection. It does not wait for the next request of the page.
  await signInHeading(guest).waitFor();
  await signIn(guest, { name: "guest", password: owner.password });
  await guest.getByText("is wrong").waitFor();
  await guest.context().close();
});

test("a user changes the password and ends other sessions", async () => {
  await page.getByRole("link", { name: owner.name }).click();
  await page.getByRole("heading", { name: owner.name }).waitFor();
  await page.getByText("This session").waitFor();
  const other = await newUserPage();
  await other.goto(site.url);
  await signIn(other, owner);
  await other.getByRole("heading", { name: "Machines" }).waitFor();
  const password = "a horse of another colour";
  await page.getByLabel("Current password").fill("wrong");
  await page.getByLabel("New password", { exact: true }).fill(password);
  await page.getByLabel("Confirm new password").fill(password);
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByText("must be the current password").waitFor();
  await page.getByLabel("Current password").fill(owner.password);
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByText("Password changed.").waitFor();
  await signInHeading(other).waitFor();
  await signIn(other, { ...owner, password });
  await other.getByRole("heading", { name: "Machines" }).waitFor();
  await page.reload();
  const sessions = page.getByRole("region", { name: "Sessions" });
  await sessions.getByRole("button", { name: "Sign out" }).click();
  await signInHeading(other).waitFor();
  await sessions.getByRole("button", { name: "Sign out" }).waitFor({ state: "detached" });
  await other.context().close();
  owner.password = password;
});

test("an administrator adds, changes, disables and deletes a user", async () => {
  await page.getByRole("link", { name: "Administration" }).click();
  const form = page.getByRole("form", { name: "Add a user" });
  await form.getByLabel("Name").fill("bob smith");
  await form.getByLabel("Password").fill(owner.password);
  await form.getByLabel("Tags", { exact: true }).fill("web, db");
  await form.getByRole("button", { name: "Add user" }).click();
  await form.getByText("must begin with a letter or digit").waitFor();
  await form.getByLabel("Name").fill("bob");
  await form.getByRole("button", { name: "Add user" }).click();
  await form.getByText("Added bob.").waitFor();
  const row = page.locator('tr[data-user="bob"]');
  await row.getByLabel("Tags of bob").fill("web");
  await row.getByRole("button", { name: "Save" }).click();
  await row.getByRole("button", { name: "Save" }).waitFor({ state: "detached" });
  const bob = async () => (await api(site, "/api/v1/users")).results.find((u) => u.name === "bob");
  assert.deepEqual((await bob()).tags, ["web"]);
  await row.getByLabel("Role of bob").selectOption("admin");
  await until("bob to be an administrator", async () => (await bob()).role === "admin");
  await row.getByRole("button", { name: "Disable" }).click();
  await row.getByText("disabled").waitFor();
  await row.getByRole("button", { name: "Delete" }).click();
  await row.getByText("Delete bob?").waitFor();
  await row.getByRole("button", { name: "Delete" }).click();
  await row.waitFor({ state: "detached" });
  const own = page.locator(`tr[data-user="${owner.name}"]`);
  assert.equal(await own.getByRole("button", { name: "Delete" }).count(), 0, "users cannot delete themselves");
});

test("the shown command adds a machine", async () => {
  await adminTab("Add machines");
  await page.getByLabel("Name").fill("rack 7");
  await page.getByLabel("Tags").fill("rack-7");
  await page.getByRole("button", { name: "Create key" }).click();
  const command = await page.getByTestId("secret").innerText();
  const [, key, server] = command.match(/^SNAPWATCH_ENROLMENT_KEY=(\S+) snapwatch-agent --server (\S+)$/);
  assert.equal(server, site.url);
  const state = mkdtempSync(path.join(tmpdir(), "snapwatch-agent-"));
  const args = ["--server", server, "--state-dir", state, "--machine-id", "second"];
  const agent = spawn(agentProgram, args, {
    stdio: "ignore",
    env: { ...process.env, SNAPWATCH_ENROLMENT_KEY: key },
  });
  try {
    await until("the machine to report", async () =>
      (await api(site, "/api/v1/machines")).results.find((m) => m.machine_id === "second" && m.last_snapshot),
    );
    assert.deepEqual((await api(site, "/api/v1/machines/second")).tags, ["rack-7"]);
  } finally {
    agent.kill();
    rmSync(state, { recursive: true, force: true });
  }
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Create key" }).waitFor();
  assert.equal(await page.getByText(key).count(), 0, "the key is shown only once");
});

test("a new token works until it is revoked", async () => {
  await adminTab("API tokens");
  await page.getByLabel("Name").fill("backup script");
  await page.getByRole("button", { name: "Create token" }).click();
  const token = await page.getByTestId("secret").innerText();
  await page.getByRole("button", { name: "Done" }).click();
  const request = async () =>
    (await fetch(`${site.url}/api/v1/machines`, { headers: { Authorization: `Bearer ${token}` } })).status;
  assert.equal(await request(), 200);
  const row = page.locator("tbody tr", { hasText: "backup script" });
  await row.getByRole("button", { name: "Revoke" }).click();
  await row.getByRole("button", { name: "Revoke" }).click();
  await row.waitFor({ state: "detached" });
  assert.equal(await request(), 401);
});

test("an administrator tags a machine on its page", async () => {
  const machine = await localMachine(site);
  await page.goto(`${site.url}/machines/${machine}`);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByLabel("Tags", { exact: true }).fill("db web");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  assert.deepEqual((await api(site, `/api/v1/machines/${machine}`)).tags, ["db", "web"]);
});

test("the audit log has an entry for each change", async () => {
  await page.goto(`${site.url}/admin?tab=audit`);
  const rows = page.locator("table.audit tbody tr");
  await rows.filter({ hasText: "machine.changed" }).filter({ hasText: owner.name }).first().waitFor();
  await rows.filter({ hasText: "machine.enrolled" }).filter({ hasText: "rack 7" }).first().waitFor();
  const search = page.getByRole("search", { name: "Audit log" });
  await search.getByLabel("Target").fill("user bob");
  await rows.filter({ hasText: "user.deleted" }).waitFor();
  await until("five entries or more, all about bob", async () => {
    const texts = await rows.allInnerTexts(); // none while they are loaded
    return texts.length >= 5 && texts.every((text) => text.includes("user bob"));
  });
  await search.getByLabel("Action").fill("DELETED");
  await until("one entry", async () => (await rows.count()) === 1);
  await search.getByLabel("Actor").fill("nobody");
  await page.getByText("No entries match the search.").waitFor();
  await search.getByRole("button", { name: "Clear" }).click();
  await rows.nth(4).waitFor();
  await search.getByLabel("To", { exact: true }).fill("2001-01-01T00:00:00");
  await page.getByText("No entries match the search.").waitFor();
  assert.match(page.url(), /to=2001-01-01|to=2000-12-31/);
});

test("a user cannot open the administration", async () => {
  const reader = await newUserPage();
  await reader.goto(`${site.url}/admin`);
  await signIn(reader, { name: "reader", password: "correct horse battery" });
  await reader.getByText("You need to be an administrator to open this page.").waitFor();
  assert.equal(await reader.getByRole("link", { name: "Administration" }).count(), 0);
});

test("there were no errors on the pages", () => assert.deepEqual(errors, []));
