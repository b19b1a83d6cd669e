// What an administrator does in the browser: users, keys, tokens, and who did what.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { api, browser, logIn, owner, setUp, thisMachine, until, up } from "./site.mjs";

let site;
let chromium;
let page;
const faults = [];

before(async () => {
  chromium = await browser();
  site = await up();
  page = await (await chromium.newContext({ viewport: { width: 1300, height: 900 } })).newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on(
    "console",
    (message) =>
      message.type() === "error" && !/WebSocket|40[1349]|422/.test(message.text()) && faults.push(message.text()),
  );
  await setUp(page, site);
});

after(async () => {
  await chromium?.close();
  await site?.stop();
  site?.remove();
});

const tab = (name) => page.getByRole("navigation", { name: "Administration" }).getByRole("link", { name }).click();

test("a user is added, given tags, made an admin, disabled and deleted", async () => {
  await page.getByRole("link", { name: "Administration" }).click();
  const form = page.getByRole("form", { name: "Add a user" });
  await form.getByLabel("Name").fill("bob smith");
  await form.getByLabel("Password").fill(owner.password);
  await form.getByLabel("Tags").fill("web, db");
  await form.getByRole("button", { name: "Add" }).click();
  await form.getByText("must begin with a letter or digit").waitFor();
  await form.getByLabel("Name").fill("bob");
  await form.getByRole("button", { name: "Add" }).click();
  await form.getByText("Added bob.").waitFor();
  const row = page.locator('tr[data-user="bob"]');
  await row.getByLabel("Tags of bob").fill("web");
  await row.getByRole("button", { name: "Save" }).click();
  await row.getByRole("button", { name: "Save" }).waitFor({ state: "detached" });
  const bob = async () => (await api(site, "/api/v1/users")).results.find((u) => u.name === "bob");
  assert.deepEqual((await bob()).tags, ["web"]);
  await row.getByLabel("Role of bob").selectOption("admin");
  await until("bob administers", async () => (await bob()).role === "admin");
  await row.getByRole("button", { name: "Disable" }).click();
  await row.getByText("disabled").waitFor();
  await row.getByRole("button", { name: "Delete" }).click();
  await row.getByText("Delete bob?").waitFor();
  await row.getByRole("button", { name: "Delete" }).click();
  await row.waitFor({ state: "detached" });
  const own = page.locator(`tr[data-user="${owner.name}"]`);
  assert.equal(await own.getByRole("button", { name: "Delete" }).count(), 0, "one does not delete oneself");
});

test("a machine is added by the command that is shown", async () => {
  await tab("Add machines");
  await page.getByLabel("Name").fill("rack 7");
  await page.getByLabel("Tags").fill("rack-7");
  await page.getByRole("button", { name: "Make a key" }).click();
  const command = await page.getByTestId("secret").innerText();
  const [, key, server] = command.match(/^SNAPWATCH_ENROLMENT_KEY=(\S+) snapwatch-agent --server (\S+)$/);
  assert.equal(server, site.url);
  const state = mkdtempSync(path.join(tmpdir(), "snapwatch-agent-"));
  const agent = spawn(
    fileURLToPath(new URL("../../bin/snapwatch-agent", import.meta.url)),
    ["--server", server, "--state-dir", state, "--machine-id", "second"],
    { stdio: "ignore", env: { ...process.env, SNAPWATCH_ENROLMENT_KEY: key } },
  );
  try {
    await until("the machine reports", async () =>
      (await api(site, "/api/v1/machines")).results.find((m) => m.machine_id === "second" && m.last_snapshot),
    );
    assert.deepEqual((await api(site, "/api/v1/machines/second")).tags, ["rack-7"]);
  } finally {
    agent.kill();
    rmSync(state, { recursive: true, force: true });
  }
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Make a key" }).waitFor();
  assert.equal(await page.getByText(key).count(), 0, "the key is shown once");
});

test("a token is made, works, and ends at once", async () => {
  await tab("Tokens");
  await page.getByLabel("Name").fill("backup script");
  await page.getByRole("button", { name: "Make a token" }).click();
  const token = await page.getByTestId("secret").innerText();
  await page.getByRole("button", { name: "Done" }).click();
  const ask = async () =>
    (await fetch(`${site.url}/api/v1/machines`, { headers: { Authorization: `Bearer ${token}` } })).status;
  assert.equal(await ask(), 200);
  const row = page.locator("tbody tr", { hasText: "backup script" });
  await row.getByRole("button", { name: "Revoke" }).click();
  await row.getByRole("button", { name: "Revoke" }).click();
  await row.waitFor({ state: "detached" });
  assert.equal(await ask(), 401);
});

test("a machine is tagged where it is shown", async () => {
  const machine = await thisMachine(site);
  await page.goto(`${site.url}/machines/${machine}`);
  await page.getByLabel("Tags", { exact: true }).fill("db web");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  assert.deepEqual((await api(site, `/api/v1/machines/${machine}`)).tags, ["db", "web"]);
});

test("the audit log says who did all this", async () => {
  await page.goto(`${site.url}/admin?tab=audit`);
  const rows = page.locator("table.audit tbody tr");
  await rows.filter({ hasText: "machine.changed" }).filter({ hasText: owner.name }).waitFor();
  await rows.filter({ hasText: "machine.enrolled" }).filter({ hasText: "rack 7" }).first().waitFor();
  await page.getByLabel("Of one target").fill("user bob");
  await rows.filter({ hasText: "user.deleted" }).waitFor();
  assert.ok((await rows.count()) >= 5);
});

test("a user has no administration", async () => {
  await api(site, "/api/v1/users", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: "reader", password: owner.password, tags: ["*"] }),
  });
  const reader = await (await chromium.newContext()).newPage();
  await reader.goto(`${site.url}/admin`);
  await logIn(reader, { name: "reader", password: owner.password });
  await reader.getByText("This is for administrators.").waitFor();
  assert.equal(await reader.getByRole("link", { name: "Administration" }).count(), 0);
});

test("nothing went wrong on the pages", () => assert.deepEqual(faults, []));
