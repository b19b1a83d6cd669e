// Simulated machines: the process table, exports, the list of machines, live updates and retention.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before } from "node:test";
import {
  api,
  collectErrors,
  newContext,
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
import { Machine, post, register } from "./simulate.mjs";

let site;
let browser;
let page;
const errors = [];

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer({ agent: false })]);
  const context = await newContext(browser, { viewport: { width: 1400, height: 1000 }, acceptDownloads: true });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  page = await context.newPage();
  collectErrors(page, errors, /WebSocket|ERR_CONNECTION|40[14]|422|503/);
  await setUp(page, site);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

const row = (pid) => page.locator(`table.processes tr[data-pid="${pid}"]`);
const rows = () => page.locator("table.processes tr[data-pid]");
const table = () => page.getByRole("treegrid", { name: "Processes" });
const processCount = (text) => page.getByTestId("process-count").filter({ hasText: text }).waitFor();
const newestSnapshot = async (id) =>
  (await api(site, `/api/v1/machines/${id}/snapshots?include_processes=1`)).results[0];

test("filters by user, CPU and memory are in the URL; columns and excluded names belong to the user", async () => {
  await register(site, "box");
  await post(site, "box", [new Machine("box", 60).snapshot(Date.now())]);
  await page.goto(`${site.url}/machines/box`);
  await processCount("60");
  await page.getByRole("button", { name: "Filters" }).click();
  await page.getByLabel("User").selectOption("www-data");
  await processCount("20 of 60");
  await page.getByLabel("Min. memory, MiB").fill("2");
  await page.getByLabel("Min. CPU, %").fill("1");
  await page.waitForURL((url) => ["user=www-data", "mem=2", "cpu=1"].every((part) => url.search.includes(part)));
  const { processes } = await newestSnapshot("box");
  const isMatch = (p) => p.user === "www-data" && p.memory_usage >= 2 * 2 ** 20 && p.cpu_usage >= 1;
  const matching = processes.filter(isMatch);
  assert.ok(matching.length > 0);
  await processCount(`${matching.length} of 60`);
  await page.keyboard.press("Escape");
  for (const filter of ["user www-data", "CPU ≥ 1 %", "memory ≥ 2 MiB"]) {
    await page.getByRole("button", { name: `Remove filter: ${filter}` }).click();
  }
  await processCount(/^60$/);

  await page.getByRole("button", { name: "Columns" }).click();
  await page.getByRole("checkbox", { name: "Parent" }).click();
  await page.getByRole("checkbox", { name: "Threads" }).click();
  await page.keyboard.press("Escape");
  await page.getByRole("columnheader", { name: "Parent" }).waitFor();
  await page.getByRole("button", { name: "Filters" }).click();
  await page.getByLabel("Exclude processes by name").fill("nginx");
  await page.getByLabel("Exclude processes by name").press("Enter");
  await processCount("54 of 60");
  await page.keyboard.press("Escape");
  // They are the same in another browser.
  const other = await newPage(browser);
  await other.goto(site.url);
  await signIn(other, owner);
  await other.getByRole("link", { name: "box" }).click();
  await other.getByRole("button", { name: "Remove filter: not nginx" }).waitFor();
  await other.getByRole("columnheader", { name: "Parent" }).waitFor();
  assert.equal(await other.getByRole("columnheader", { name: "Threads" }).count(), 0);
  assert.match(other.url(), /exclude=/);
  await other.context().close();
  await page.getByRole("button", { name: "Remove filter: not nginx" }).click();
  await processCount(/^60$/);
});

test("a long table renders only a few rows, and the keyboard reaches all of them", async () => {
  await register(site, "long");
  await post(site, "long", [new Machine("long", 3000).snapshot(Date.now())]);
  await page.goto(`${site.url}/machines/long`);
  await row(1).waitFor();
  assert.ok((await rows().count()) < 120, "all rows are rendered");
  assert.equal(await table().getAttribute("aria-rowcount"), "3001");
  const press = (...keys) => keys.reduce((done, key) => done.then(() => page.keyboard.press(key)), Promise.resolve());
  const selected = (index) => page.locator(`tr[aria-selected="true"][aria-rowindex="${index}"]`).waitFor();
  const rowCount = (n) => page.locator(`table.processes[aria-rowcount="${n}"]`).waitFor();
  await table().focus();
  await press("ArrowDown");
  await page.locator('tr[aria-selected="true"][data-pid="1"]').waitFor();
  await press("End");
  await selected(3001);
  await press("Home", "ArrowRight");
  await press("ArrowLeft"); // collapses the root
  await rowCount(2);
  assert.match(await row(1).innerText(), /\+2999/);
  await press("ArrowRight");
  await rowCount(3001);
  for (const [key, header] of [
    ["M", "Memory"],
    ["P", "CPU %"],
  ]) {
    await press(key);
    await page.locator('th[aria-sort="descending"]', { hasText: header }).waitFor();
  }
  await press("t");
  await page.getByRole("button", { name: "Show as tree" }).waitFor();
  await press("t");
  await page.getByRole("button", { name: "Show as list" }).waitFor();
  await press("N");
  await page.locator('th[aria-sort="ascending"]', { hasText: "PID" }).waitFor();
  await press("Home", "ArrowDown");
  await page.locator('tr[aria-selected="true"][data-pid="2"]').waitFor();
  await press("c");
  await page.getByText("Copied the command line of postgres").waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, "/usr/bin/postgres --worker 1 --config /etc/postgres.conf");
  await press("u");
  await page.waitForURL(/user=root/);
  await press("u");
  await page.waitForURL((url) => !url.searchParams.has("user"));
  await press("/");
  await page.keyboard.type("worker 2999");
  await row(3000).waitFor();
  await press("Enter", "Escape");
  await page.waitForURL((url) => !url.searchParams.has("filter"));
  await press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await press("Escape");
  await table().focus();
  await press("Home");
  await page.locator('tr[aria-selected="true"][data-pid="1"]').waitFor();
  await press("Enter");
  await page.getByRole("heading", { name: "nginx 1" }).waitFor();
});

test("tables and charts can be exported", async () => {
  await page.goto(`${site.url}/machines/box?filter=nginx`);
  await processCount("6 of 60");
  const download = async (menu, item) => {
    await page.getByRole("button", { name: menu, exact: true }).click();
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("dialog").getByText(item, { exact: true }).click(),
    ]);
    return { name: file.suggestedFilename(), content: await readFile(await file.path()) };
  };
  const csv = await download("Export", "Table (CSV)");
  assert.match(csv.name, /^box-.*processes\.csv$/);
  const lines = String(csv.content).trim().split("\r\n");
  assert.equal(lines.length, 7);
  assert.match(lines[0], /^time,pid,name,command_line,/);
  const { processes } = JSON.parse((await download("Export", "JSON")).content);
  assert.deepEqual(new Set(processes.map((p) => p.name)), new Set(["nginx"]));
  await page
    .getByRole("img", { name: /average: latest/ })
    .first()
    .waitFor();
  const png = await download("Export CPU", "Image (PNG)");
  assert.deepEqual([...png.content.subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
  assert.match(String((await download("Export Memory", "Table (CSV)")).content), /^time,used,swap\r\n\d{4}-\d\d-\d\d/);
  const all = await download("Export range", "Processes (CSV)");
  assert.equal(String(all.content).trim().split(/\r?\n/).length, 61);
});

test("the list of machines has tags, a text filter, an order and sparklines", async () => {
  const now = Date.now();
  const fleet = { "web-a": ["web"], "web-b": ["web", "eu"], "db-a": ["eu"] };
  for (const [id, tags] of Object.entries(fleet)) {
    const machine = new Machine(id, 5);
    machine.round = id.length * 7;
    await register(site, id);
    const at = (i) => now - 180_000 + i * 55_000;
    const options = { full: true, intervalMs: 55_000 };
    await post(
      site,
      id,
      [0, 1, 2, 3].map((i) => machine.snapshot(at(i), options)),
    );
    await patchMachine(site, id, { tags, polling_interval: 1 });
  }
  await page.goto(site.url);
  const machineLink = (name) => page.getByRole("link", { name, exact: true });
  const shows = (what, names) =>
    until(what, async () => (await page.locator("table.fleet tbody a").allInnerTexts()).join() === names);
  await machineLink("web-b").waitFor();
  const sparkline = { name: /^Load in the last hour: at most \d/ };
  await page.locator("tr", { hasText: "web-b" }).getByRole("img", sparkline).waitFor();
  await page.getByRole("button", { name: "eu", exact: true }).click();
  await shows("the two machines tagged eu", "db-a,web-b");
  await page.getByRole("button", { name: "web", exact: true }).click();
  await shows("the machine with both tags", "web-b");
  assert.match(page.url(), /tag=/);
  await page.reload();
  await shows("the machine with the tags in the URL", "web-b");
  await page.goto(`${site.url}/?q=web`);
  await page.getByRole("button", { name: "CPU" }).click();
  await page.locator('th[aria-sort="descending"]', { hasText: "CPU" }).waitFor();
  await page.goto(`${site.url}/?status=silent`);
  await machineLink("web-a").waitFor();
});

test("a machine that stops reporting is shown as silent after two intervals", async () => {
  const id = "silent-one";
  await page.goto(`${site.url}/?q=${id}`);
  await register(site, id);
  await patchMachine(site, id, { polling_interval: 2 });
  const machine = new Machine(id, 5);
  // The page may be too slow to show it up even once, so it reports until the page does.
  const up = page.locator("tr", { hasText: id }).getByRole("img", { name: "up" });
  await until("the page to show the machine up", async () => {
    await post(site, id, [machine.snapshot(Date.now(), { full: true })]);
    return up.isVisible();
  });
  const last = Date.parse((await api(site, `/api/v1/machines/${id}`)).last_seen);
  await until("the machine to be silent", async () => {
    const requested = Date.now();
    const { status } = await api(site, `/api/v1/machines/${id}`);
    // The next report was due after one interval. The machine is silent two intervals later.
    if (status === "up") assert.ok(requested - last < 3 * 2000 + 500, `still up ${requested - last} ms later`);
    return status === "stale";
  });
  await page.locator("tr", { hasText: id }).getByRole("img", { name: "silent" }).waitFor();
});

test("the page of a machine whose snapshots have expired says so", async () => {
  const id = "expired-one";
  await register(site, id);
  // As after retention dropped the snapshots: the machine has the time of the last one, but no values.
  await page.route(`**/api/v1/machines/${id}`, async (route) => {
    const response = await route.fetch();
    const machine = { ...(await response.json()), status: "up", last_snapshot: "2026-01-02T09:00:00Z" };
    await route.fulfill({ response, json: machine });
  });
  await page.goto(`${site.url}/machines/${id}`);
  await page.getByText("The snapshots of this machine have been deleted.").waitFor();
  assert.equal(await page.getByText("Waiting for the first snapshot").count(), 0);
  await page.unroute(`**/api/v1/machines/${id}`);
});

test("a machine with two agents, and one that hides processes, say so", async () => {
  await register(site, "copied", { hostname: "web-1" });
  const machine = new Machine("copied", 5);
  const heading = page.getByRole("heading", { level: 1, name: "web-1" });
  const competing = page.getByRole("alert").filter({ hasText: "Several agents report as this machine." });
  const hidden = page.getByRole("alert").filter({ hasText: "Only the agent's own processes are visible." });
  const sources = ["web-1", "web-2"].map((hostname) => ({ run_id: hostname, boot_id: `boot-${hostname}`, hostname }));
  const reportInTurns = async (turns) => {
    for (let i = 0; i < turns; i++) {
      await post(site, "copied", [machine.snapshot(Date.now(), { full: true })], sources[i % 2]);
    }
  };
  await reportInTurns(2); // as after a restart of the agent
  await page.goto(`${site.url}/machines/copied`);
  await heading.waitFor();
  await row(1).waitFor();
  assert.equal(await competing.count(), 0);
  assert.equal(await hidden.count(), 0);
  await reportInTurns(3);
  await competing.getByText("The agents on web-1 and web-2 have reported in turns from").waitFor();
  await competing.getByText("empty its state directory").waitFor();
  assert.match(
    site.log.join("\n"),
    /several agents report as one machine in turns.*machine_id=copied hosts="\[web-1 web-2\]"/,
  );
  // The notice is on pages of the past too, because their snapshots are mixed.
  await page.goto(`${site.url}/machines/copied?at=${encodeURIComponent(machine.previous)}`);
  await competing.waitFor();

  await register(site, "copied", { hostname: "web-1", own_processes_only: true });
  await page.goto(`${site.url}/machines/copied`);
  await hidden.getByText("hidepid").first().waitFor();
  await register(site, "copied", { hostname: "renamed" });
  await page.getByRole("heading", { level: 1, name: "renamed" }).waitFor();
  assert.equal(await hidden.count(), 0);
});

test("machines with one host name have different names on all pages", async () => {
  const twins = ["0123abcd456789abcdef0123456789ab", "production-2"];
  for (const id of twins) {
    await register(site, id, { hostname: "twin" });
    const snapshot = new Machine(id, 5).snapshot(Date.now());
    snapshot.processes[0].name = "twin-daemon";
    await post(site, id, [snapshot]);
  }
  const names = ["twin (0123abcd)", "twin (production-2)"];
  await page.goto(`${site.url}/?q=twin`);
  for (const name of names) await page.locator("table.fleet").getByRole("link", { name, exact: true }).waitFor();
  await page.goto(`${site.url}/find?q=${encodeURIComponent("twin-daemon last 1 hour")}`);
  for (const name of names) await page.locator("section.match h2", { hasText: name }).waitFor();
  assert.equal(await page.getByText("covers whole hours").count(), 0);
  await page.goto(`${site.url}/find?q=${encodeURIComponent("twin-daemon last 7 hours")}`);
  await page.getByText("The search covers whole hours").waitFor();
  await page.goto(`${site.url}/find?q=${encodeURIComponent("twin-daemon 3 days ago")}`);
  await page.getByText(/on twin \((0123abcd|production-2)\): twin-daemon/).waitFor();
  await page.goto(`${site.url}/machines/${twins[0]}`);
  await page.getByRole("heading", { level: 1, name: names[0] }).waitFor();
});

test("the live view applies changes, renders once per frame, and resynchronizes after a suspend", async () => {
  const sent = [];
  const received = [];
  const other = await page.context().newPage();
  other.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => sent.push(JSON.parse(payload)));
    socket.on("framereceived", ({ payload }) => received.push({ ...JSON.parse(payload), bytes: payload.length }));
  });
  await other.clock.install();
  const busy = new Machine("busy", 300, { busy: 0.05 });
  await register(site, "busy");
  await post(site, "busy", [busy.snapshot(Date.now())]);
  await other.goto(`${site.url}/machines/busy?flat=true`);
  await other.locator("tr[data-pid]").first().waitFor();
  await other.evaluate(() => {
    window.updates = 0;
    window.frames = 0;
    const countFrame = () => {
      window.frames++;
      requestAnimationFrame(countFrame);
    };
    requestAnimationFrame(countFrame);
    const instant = document.querySelector("[data-testid=instant]");
    new MutationObserver(() => window.updates++).observe(instant, { attributeFilter: ["data-timestamp"] });
  });
  const shows = (timestamp) => other.locator(`[data-testid="instant"][data-timestamp="${timestamp}"]`).waitFor();
  const start = Date.now();
  for (let i = 1; i <= 40; i++) await post(site, "busy", [busy.snapshot(start + i)]);
  await shows(busy.previous);
  const { updates, frames } = await other.evaluate(() => ({ updates: window.updates, frames: window.frames }));
  assert.ok(updates > 0 && updates <= frames, `${updates} updates in ${frames} frames`);
  const states = received.filter(({ type }) => type === "changes_message");
  assert.equal(states.length, 41);
  const kinds = states.map(({ message }) => message.kind);
  assert.deepEqual(kinds.slice(0, 4), ["full", "changes", "changes", "changes"]);
  const [full, changes] = [states[0].bytes, states[5].bytes];
  assert.ok(changes < full / 4, `${changes} bytes of changes, ${full} bytes of a full snapshot`);
  // The page and the server have replayed the same state.
  const { processes } = await newestSnapshot("busy");
  const column = (await other.locator("table.processes thead th").allInnerTexts()).indexOf("CPU %");
  const cell = (pid) => other.locator(`tr[data-pid="${pid}"] > *`).nth(column).innerText();
  for (const { pid, cpu_usage } of processes.slice(0, 12)) {
    assert.equal(await cell(pid), cpu_usage.toFixed(1), `CPU of ${pid}`);
  }

  // The computer is suspended for an hour.
  const before = sent.length;
  await other.clock.fastForward("01:00:00");
  await until("a request on a new connection", () => sent.length > before);
  const request = { action: "subscribe", machine_id: "busy", changes: true, since: busy.previous };
  assert.deepEqual(sent.at(-1), request);
  await post(site, "busy", [busy.snapshot(Date.now())]);
  await shows(busy.previous);
  await other.close();
});

test("an administrator sees the disk usage and changes the retention", async () => {
  await page.goto(`${site.url}/admin?tab=storage`);
  await page.getByText("Growth per day").waitFor();
  const days = page.getByLabel("Snapshots, days");
  const kept = Number(await days.inputValue());
  await days.fill(String(kept - 2));
  await page.getByText("Older data will be deleted permanently within moments.").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  assert.equal((await api(site, "/api/v1/storage/retention")).raw_days, kept - 2);
  await days.fill("3000");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".wrong").first().waitFor();
  await page.getByRole("button", { name: "Discard changes" }).click();
  const shortLived = page.getByLabel("Short-lived, days");
  await shortLived.fill("3");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  assert.equal((await api(site, "/api/v1/storage/retention")).exits_days, 3);
  await shortLived.fill(String(kept));
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".field", { has: shortLived }).locator(".wrong").waitFor();
});

test("there were no errors on the pages", () => assert.deepEqual(errors, []));
