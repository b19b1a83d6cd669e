// The time machine, walked as a user would: charts, scrubbing, processes, comparing,
// finding. On a real agent's machine, and on simulated ones where there must be many.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { api, browser, patch, setUp, thisMachine, until, up } from "./site.mjs";
import { Machine, post, register } from "./simulate.mjs";

let site;
let chromium;
let page;
let machineId;
const faults = [];
/** What ran for a while and is over: a shell with a child. */
const gone = {};

const row = (pid) => page.locator(`table.processes tr[data-pid="${pid}"]`);
const instant = () => page.getByTestId("instant").getAttribute("data-timestamp");
const shownRows = () =>
  page.locator("table.processes tr[data-pid]").evaluateAll((rows) => rows.map((r) => Number(r.dataset.pid)));
const range = (page) => page.getByRole("group", { name: "Range" });
const table = () => page.getByRole("treegrid", { name: "Processes" });
const snapshots = async (query) =>
  (await api(site, `/api/v1/machines/${machineId}/snapshots?limit=1000&${query}`)).results.map((s) => s.timestamp);
const iso = (ms) => new Date(ms).toISOString();
const machine = () => page.goto(`${site.url}/machines/${machineId}`);

before(async () => {
  chromium = await browser();
  site = await up({ env: { SNAPWATCH_REQUEST_RATE: "1000" } });
  const context = await chromium.newContext({ viewport: { width: 1400, height: 1000 }, acceptDownloads: true });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on(
    "console",
    (message) =>
      message.type() === "error" &&
      !/WebSocket|ERR_CONNECTION|40[14]/.test(message.text()) &&
      faults.push(message.text()),
  );
  await setUp(page, site);
  machineId = await thisMachine(site);
  await patch(site, machineId, { polling_interval: 0.5 });
  const parent = spawn("sh", ["-c", "sleep 4323 & echo $!; wait"], { stdio: ["ignore", "pipe", "inherit"] });
  const [text] = await once(parent.stdout, "data");
  Object.assign(gone, { parent: parent.pid, child: Number(String(text).trim()), before: Date.now() - 300 });
  const ran = async () =>
    (await api(site, `/api/v1/processes?text=sleep%204323&time=${iso(Date.now())}`)).results.length > 0;
  await until("the child is stored", ran);
  gone.from = Date.now();
  await until("some snapshots with the child", async () => (await snapshots(`from=${iso(gone.from)}`)).length > 6);
  gone.to = Date.now();
  parent.kill();
  process.kill(gone.child);
  await once(parent, "exit");
  await until("the child is over", async () => !(await ran()));
});

after(async () => {
  await chromium?.close();
  await site?.stop();
  site?.remove();
});

test("scrub back to when a child ran, and find it under its parent", async () => {
  await machine();
  await row(1).waitFor();
  assert.equal(await row(gone.child).count(), 0, "it is over");
  // A pixel of an hour is three seconds: look at a minute, as one would by dragging over it.
  await page.goto(`${page.url()}?from=${iso(gone.to - 55_000)}&to=${iso(gone.to + 5000)}`);
  await row(1).waitFor();
  // Drag the handle to when it ran.
  const slider = page.getByRole("slider", { name: "Instant" });
  const { x, y, width, height } = await slider.boundingBox();
  const [from, to] = await slider.evaluate((input) => [Number(input.min), Number(input.max)]);
  await page.mouse.move(x + width - 8, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + 8 + (((gone.from + gone.to) / 2 - from) / (to - from)) * (width - 16), y + height / 2, {
    steps: 5,
  });
  await page.mouse.up();
  await page.getByText("the past").waitFor();
  await until("the URL has the instant", async () => /at=/.test(page.url()));
  await until(
    "the instant is one at which it ran",
    async () => Date.parse(await instant()) > gone.before && Date.parse(await instant()) <= gone.to,
  );
  // A snapshot before, and a snapshot after.
  const at = await instant();
  await page.getByRole("button", { name: "The snapshot before" }).click();
  await until("an earlier instant", async () => (await instant()) < at);
  await page.getByRole("button", { name: "The snapshot after" }).click();
  await until("the instant again", async () => (await instant()) === at);
  await page.getByLabel("Filter processes").fill("sleep 4323");
  await row(gone.child).waitFor();
  assert.equal(await row(gone.child).getAttribute("data-ppid"), String(gone.parent));
  const [parent, child] = await Promise.all(
    [gone.parent, gone.child].map(async (pid) => Number(await row(pid).getAttribute("aria-level"))),
  );
  assert.equal(child, parent + 1, "one level below its parent");
  const pids = await shownRows();
  assert.equal(pids.indexOf(gone.child), pids.indexOf(gone.parent) + 1, "just below its parent");
});

test("a link opens just that: the instant, the filter, the order", async () => {
  const url = page.url();
  const seen = await instant();
  const other = await page.context().newPage();
  await other.goto(url);
  await other.locator(`tr[data-pid="${gone.child}"]`).waitFor();
  assert.equal(await other.getByTestId("instant").getAttribute("data-timestamp"), seen);
  assert.equal(await other.getByLabel("Filter processes").inputValue(), "sleep 4323");
  // Times are the viewer's, with UTC on hover.
  const title = await other.getByTestId("instant").locator("time").getAttribute("title");
  assert.equal(title, seen.replace("T", " ").replace("Z", " UTC"));
  await other.close();
});

test("the process's page: its life, its parents, its children", async () => {
  await row(gone.child).getByRole("link", { name: "sleep" }).click();
  await page.getByRole("heading", { name: `sleep ${gone.child}` }).waitFor();
  const relation = (name) => page.locator(`.family tr[data-relation="${name}"]`);
  await relation("self").waitFor();
  const parents = await relation("parent").evaluateAll((rows) => rows.map((r) => Number(r.dataset.pid)));
  assert.equal(parents.at(-1), gone.parent);
  assert.equal(parents[0], 1, "up to the first");
  await page.getByText("ended").first().waitFor();
  await page.getByRole("img", { name: /peak: latest .*, at most [\d.]+ [KM]iB;/ }).waitFor();
  await relation("parent").last().getByRole("link").click();
  await page.getByRole("heading", { name: `sh ${gone.parent}` }).waitFor();
  const children = await relation("child").evaluateAll((rows) => rows.map((r) => Number(r.dataset.pid)));
  assert.deepEqual(children, [gone.child]);
});

test("a name's page: on which machines it runs", async () => {
  await page.getByRole("link", { name: "every sh on every machine" }).click();
  await page.getByRole("heading", { name: "sh", exact: true }).waitFor();
  await page.locator(`.match[data-machine="${machineId}"] li[data-pid="${gone.parent}"]`).waitFor();
});

test("find it by what it was and when, and go to that instant", async () => {
  const search = page.getByRole("searchbox", { name: "Find processes" });
  await search.fill(`sleep 4323 ${iso((gone.from + gone.to) / 2)}`);
  await search.press("Enter");
  const found = page.locator(`.match[data-machine="${machineId}"] li[data-pid="${gone.child}"]`);
  await found.waitFor();
  await found.getByRole("link").click();
  await row(gone.child).waitFor();
  assert.equal(await row(gone.child).getAttribute("data-ppid"), String(gone.parent));
  // Without a time it is the last day; at an instant when it did not run there is nothing.
  await search.fill("sleep 4323");
  await search.press("Enter");
  await found.waitFor();
  await search.fill("sleep 4323 now");
  await search.press("Enter");
  await page.getByText("No machine ran it then.").waitFor();
  assert.match(page.url(), /\/find\?q=sleep/);
});

test("two instants: what ended, with what it took", async () => {
  await page.goto(
    `${site.url}/machines/${machineId}/diff?from=${iso((gone.from + gone.to) / 2)}&to=${iso(Date.now())}`,
  );
  const ended = page.getByRole("region", { name: "Ended", exact: true });
  await ended.locator(`tr[data-pid="${gone.child}"]`).waitFor();
  assert.match(await ended.locator(`tr[data-pid="${gone.child}"]`).innerText(), /sleep[\s\S]*iB[\s\S]*–[\s\S]*−/);
  // Turned around in time it started; and over its whole life it came and went.
  await page.goto(
    `${site.url}/machines/${machineId}/diff?from=${iso(gone.before)}&to=${iso((gone.from + gone.to) / 2)}`,
  );
  await page.getByRole("region", { name: "Started", exact: true }).locator(`tr[data-pid="${gone.child}"]`).waitFor();
  await page.goto(`${site.url}/machines/${machineId}/diff?from=${iso(gone.before)}&to=${iso(Date.now())}`);
  await page
    .getByRole("region", { name: "Came and went in between", exact: true })
    .locator(`tr[data-pid="${gone.child}"]`)
    .waitFor();
  await page.getByRole("button", { name: "Threads" }).click();
  await until("the measure is in the URL", async () => /by=threads/.test(page.url()));
});

test("charts: ranges, zoom by dragging, picking an instant, the live tail", async () => {
  await machine();
  const cpu = page.getByRole("img", { name: /average: latest/ }).first();
  await cpu.waitFor();
  const memory = async () => page.locator(".chart", { hasText: "Load" }).getByRole("img").getAttribute("aria-label");
  const before = await instant();
  await until("the live view goes on", async () => (await instant()) !== before);
  assert.match(await memory(), /1 min: latest \d/);
  for (const [name, span] of [
    ["3 hours", "3h"],
    ["Day", "1d"],
    ["Week", "1w"],
  ]) {
    const answer = page.waitForResponse((r) => r.url().includes("/metrics?"));
    await range(page).getByRole("button", { name, exact: true }).click();
    const { resolution } = await (await answer).json();
    assert.equal(resolution, { "3h": "1m", "1d": "1m", "1w": "1h" }[span]);
    assert.match(page.url(), new RegExp(`span=${span}`));
  }
  await range(page).getByRole("button", { name: "Hour", exact: true }).click();
  await until("an hour is nothing in the URL", async () => !/span=/.test(page.url()));
  // Drag over the last tenth.
  const plot = page.locator(".chart .u-over").first();
  const box = await plot.boundingBox();
  await page.mouse.move(box.x + box.width * 0.9, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.999, box.y + 32, { steps: 6 });
  await page.mouse.up();
  await until("the range is in the URL", async () => /from=.*to=/.test(page.url()));
  const zoomed = new URL(page.url()).searchParams;
  const minutes = (Date.parse(zoomed.get("to")) - Date.parse(zoomed.get("from"))) / 60_000;
  assert.ok(minutes > 5 && minutes < 7, `${minutes} minutes`);
  assert.equal(zoomed.get("at"), null, "the end of a drag picks nothing");
  // A click picks an instant of it.
  await page.mouse.click(box.x + box.width * 0.98, box.y + 30);
  await page.getByText("the past").waitFor();
  assert.match(page.url(), /at=/);
  await page.goBack();
  await until("back is back", async () => !/at=/.test(page.url()));
  // Any range, by hand.
  await range(page).getByRole("button", { name: /–/ }).click();
  await page.getByLabel("From").fill("2026-01-01T00:00:00");
  await page.getByLabel("To", { exact: true }).fill("2025-01-01T00:00:00");
  await page.getByText("The begin is not before the end.").waitFor();
  await page.getByLabel("To", { exact: true }).fill("2026-01-02T00:00:00");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.getByRole("img", { name: "No data" }).first().waitFor();
});

test("filters by user, CPU and memory, columns, and names that are kept for the person", async () => {
  await register(site, "box");
  await post(site, "box", [new Machine("box", 60).snapshot(Date.now())]);
  await page.goto(`${site.url}/machines/box`);
  await page.getByTestId("process-count").filter({ hasText: "60" }).waitFor();
  await page.getByRole("button", { name: "Filters" }).click();
  await page.getByLabel("User").selectOption("www-data");
  await page.getByTestId("process-count").filter({ hasText: "20 of 60" }).waitFor();
  await page.getByLabel("Memory at least, MiB").fill("2");
  await page.getByLabel("CPU at least, %").fill("1");
  await until("all of it is in the URL", async () =>
    ["user=www-data", "mem=2", "cpu=1"].every((part) => page.url().includes(part)),
  );
  const list = (await api(site, "/api/v1/machines/box/snapshots?include_processes=1")).results[0].processes;
  const matching = list.filter((p) => p.user === "www-data" && p.memory_usage >= 2 * 2 ** 20 && p.cpu_usage >= 1);
  assert.ok(matching.length > 0);
  await page
    .getByTestId("process-count")
    .filter({ hasText: `${matching.length} of 60` })
    .waitFor();
  await page.keyboard.press("Escape");
  for (const label of ["Show all users", "Show any CPU", "Show any memory"])
    await page.getByRole("button", { name: label }).click();
  await page.getByTestId("process-count").filter({ hasText: /^60$/ }).waitFor();

  await page.getByRole("button", { name: "Columns" }).click();
  await page.getByRole("checkbox", { name: "Parent" }).click();
  await page.getByRole("checkbox", { name: "Threads" }).click();
  await page.keyboard.press("Escape");
  await page.getByRole("columnheader", { name: "Parent" }).waitFor();
  await page.getByRole("button", { name: "Filters" }).click();
  await page.getByLabel("Exclude processes by name").fill("nginx");
  await page.getByLabel("Exclude processes by name").press("Enter");
  await page.getByTestId("process-count").filter({ hasText: "54 of 60" }).waitFor();
  await page.keyboard.press("Escape");
  // On another machine, and in another browser, they are as they were left.
  const elsewhere = await chromium.newContext();
  const other = await elsewhere.newPage();
  await other.goto(site.url);
  await other.getByLabel("Name").fill("owner");
  await other.getByLabel("Password").fill("correct horse battery");
  await other.getByRole("button", { name: "Log in", exact: true }).click();
  await other.getByRole("link", { name: "box" }).click();
  await other.getByRole("button", { name: "Show nginx again" }).waitFor();
  await other.getByRole("columnheader", { name: "Parent" }).waitFor();
  assert.equal(await other.getByRole("columnheader", { name: "Threads" }).count(), 0);
  assert.match(other.url(), /exclude=/);
  await elsewhere.close();
  await page.getByRole("button", { name: "Show nginx again" }).click();
  await page.getByTestId("process-count").filter({ hasText: /^60$/ }).waitFor();
});

test("a long table holds few rows, and the keys reach all of them", async () => {
  await register(site, "long");
  await post(site, "long", [new Machine("long", 3000).snapshot(Date.now())]);
  await page.goto(`${site.url}/machines/long`);
  await row(1).waitFor();
  assert.ok((await shownRows()).length < 120, "every row is in the page");
  assert.equal(await table().getAttribute("aria-rowcount"), "3001");
  const selected = () => page.locator('tr[aria-selected="true"]');
  await table().focus();
  await page.keyboard.press("ArrowDown");
  assert.equal(await selected().getAttribute("data-pid"), "1");
  await page.keyboard.press("End");
  await selected().waitFor();
  assert.equal(await selected().getAttribute("aria-rowindex"), "3001");
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft"); // collapses the first, and with it all
  await until("one row", async () => (await table().getAttribute("aria-rowcount")) === "2");
  assert.match(await row(1).innerText(), /\+2999/);
  await page.keyboard.press("ArrowRight");
  await until("all rows", async () => (await table().getAttribute("aria-rowcount")) === "3001");
  for (const [key, header] of [
    ["M", "Memory"],
    ["P", "CPU %"],
  ]) {
    await page.keyboard.press(key);
    await page.locator('th[aria-sort="descending"]', { hasText: header }).waitFor();
  }
  await page.keyboard.press("t");
  await page.getByRole("button", { name: "Show as tree" }).waitFor();
  await page.keyboard.press("t");
  await page.keyboard.press("N");
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("c");
  await page.getByText("Copied the command line of postgres").waitFor();
  assert.equal(
    await page.evaluate(() => navigator.clipboard.readText()),
    "/usr/bin/postgres --worker 1 --config /etc/postgres.conf",
  );
  await page.keyboard.press("u");
  await until("one user", async () => /user=root/.test(page.url()));
  await page.keyboard.press("u");
  await page.keyboard.press("/");
  await page.keyboard.type("worker 2999");
  await row(3000).waitFor();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Escape");
  await until("no filter", async () => !/filter=/.test(page.url()));
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await table().focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "nginx 1" }).waitFor();
});

test("what is shown can be taken away", async () => {
  await page.goto(`${site.url}/machines/box?filter=nginx`);
  await page.getByTestId("process-count").filter({ hasText: "6 of 60" }).waitFor();
  const take = async (menu, item) => {
    await page.getByRole("button", { name: menu, exact: true }).click();
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("dialog").getByText(item, { exact: true }).click(),
    ]);
    return { name: file.suggestedFilename(), content: await readFile(await file.path()) };
  };
  const csv = await take("Export", "Table (CSV)");
  assert.match(csv.name, /^box-.*processes\.csv$/);
  const lines = String(csv.content).trim().split("\r\n");
  assert.equal(lines.length, 7);
  assert.match(lines[0], /^time,pid,name,command_line,/);
  const { processes } = JSON.parse((await take("Export", "JSON")).content);
  assert.deepEqual(new Set(processes.map((p) => p.name)), new Set(["nginx"]));
  const png = await take("Export CPU", "Picture (PNG)");
  assert.deepEqual([...png.content.subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
  assert.match(String((await take("Export Memory", "Table (CSV)")).content), /^time,used,swap\r\n2026-/);
  const all = await take("Export range", "Every process, CSV");
  assert.equal(String(all.content).trim().split(/\r?\n/).length, 61);
});

test("the fleet: tags, text, order, small lines; and a machine that goes silent shows it", async () => {
  const now = Date.now();
  const fleet = { "web-a": ["web"], "web-b": ["web", "eu"], "db-a": ["eu"] };
  for (const [id, tags] of Object.entries(fleet)) {
    const one = new Machine(id, 5);
    one.round = id.length * 7;
    await register(site, id);
    await post(
      site,
      id,
      Array.from({ length: 4 }, (_, i) => one.snapshot(now - 180_000 + i * 55_000, { full: true, intervalMs: 55_000 })),
    );
    await patch(site, id, { tags, polling_interval: 1 });
  }
  await page.goto(site.url);
  const names = () => page.locator("table.fleet tbody a").allInnerTexts();
  await page.getByRole("link", { name: "web-b" }).waitFor();
  await page
    .locator("tr", { hasText: "web-b" })
    .getByRole("img", { name: /^Load of the last hour: at most \d/ })
    .waitFor();
  await page.getByRole("button", { name: "eu", exact: true }).click();
  await until("two of eu", async () => (await names()).join() === "db-a,web-b");
  await page.getByRole("button", { name: "web", exact: true }).click();
  await until("one of both", async () => (await names()).join() === "web-b");
  assert.match(page.url(), /tag=/);
  await page.reload();
  await until("the URL has it", async () => (await names()).join() === "web-b");
  await page.goto(`${site.url}/?q=web`);
  await page.getByRole("button", { name: "CPU" }).click();
  await page.locator('th[aria-sort="descending"]', { hasText: "CPU" }).waitFor();
  await page.goto(`${site.url}/?status=silent`);
  await page.getByRole("link", { name: "web-a" }).waitFor();

  // One that posts every second, and stops.
  await page.goto(`${site.url}/?q=silent-one`);
  await register(site, "silent-one");
  await patch(site, "silent-one", { polling_interval: 2 });
  const one = new Machine("silent-one", 5);
  for (let i = 0; i < 2; i++) await post(site, "silent-one", [one.snapshot(Date.now(), { full: true })]);
  await page.locator("tr", { hasText: "silent-one" }).getByRole("img", { name: "up" }).waitFor();
  const last = Date.parse((await api(site, "/api/v1/machines/silent-one")).last_seen);
  await page.locator("tr", { hasText: "silent-one" }).getByRole("img", { name: "silent" }).waitFor();
  // It was to be heard of after one interval, and is missed within two from then on.
  assert.ok(Date.now() - last < 3 * 2000 + 500, `it took ${Date.now() - last} ms`);
});

test("live: changes are applied, never more than one update a frame, and all is asked for after a sleep", async () => {
  const sent = [];
  const heard = [];
  const other = await page.context().newPage();
  other.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => sent.push(JSON.parse(payload)));
    socket.on("framereceived", ({ payload }) => heard.push({ ...JSON.parse(payload), bytes: payload.length }));
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
    const count = () => {
      window.frames++;
      requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
    new MutationObserver(() => window.updates++).observe(document.querySelector("[data-testid=instant]"), {
      attributeFilter: ["data-timestamp"],
    });
  });
  const start = Date.now();
  for (let i = 1; i <= 40; i++) await post(site, "busy", [busy.snapshot(start + i)]);
  const at = () => other.getByTestId("instant").getAttribute("data-timestamp");
  await until("the page shows the newest", async () => (await at()) === busy.previous);
  const { updates, frames } = await other.evaluate(() => ({ updates: window.updates, frames: window.frames }));
  assert.ok(updates > 0 && updates <= frames, `${updates} updates in ${frames} frames`);
  const states = heard.filter(({ type }) => type === "changes_message");
  assert.equal(states.length, 41);
  assert.deepEqual(states.map(({ message }) => message.kind).slice(0, 4), ["full", "changes", "changes", "changes"]);
  assert.ok(states[5].bytes < states[0].bytes / 4, `${states[5].bytes} bytes of changes, ${states[0].bytes} of all`);
  // What the page replayed is what the server says.
  const truth = (await api(site, "/api/v1/machines/busy/snapshots?include_processes=1")).results[0];
  const column = (await other.locator("table.processes thead th").allInnerTexts()).indexOf("CPU %");
  const cell = async (pid) => other.locator(`tr[data-pid="${pid}"] > *`).nth(column).innerText();
  for (const { pid, cpu_usage } of truth.processes.slice(0, 12))
    assert.equal(await cell(pid), cpu_usage.toFixed(1), `CPU of ${pid}`);

  // The computer sleeps for an hour.
  const asked = sent.length;
  await other.clock.fastForward("01:00:00");
  await until("it asks again, on a new socket", () => sent.length > asked);
  assert.deepEqual(sent.at(-1), { action: "subscribe", machine_id: "busy", changes: true, since: busy.previous });
  await post(site, "busy", [busy.snapshot(Date.now())]);
  await until("the page goes on", async () => (await at()) === busy.previous);
  await other.close();
});

test("storage and retention are seen and changed", async () => {
  await page.goto(`${site.url}/admin?tab=storage`);
  await page.getByText("A day like the last").waitFor();
  const raw = page.getByLabel("Every snapshot, days");
  const kept = Number(await raw.inputValue());
  await raw.fill(String(kept - 2));
  await page.getByText("What is older than that goes within moments, for good.").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  assert.equal((await api(site, "/api/v1/storage/retention")).raw_days, kept - 2);
  await raw.fill("3000");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".wrong").first().waitFor();
});

test("nothing went wrong on the pages", () =>
  assert.deepEqual(
    faults.filter((fault) => !/422/.test(fault)),
    [],
  ));
