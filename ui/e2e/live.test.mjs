// What a new user sees, in a real browser, on a real server, database and agent.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { api, browser, patch, setUp, thisMachine, until, up } from "./site.mjs";

let site;
let chromium;
let page;
let machineId;
let cameUp;
const faults = [];

before(async () => {
  chromium = await browser();
  site = await up();
  cameUp = Date.now();
  // So high that every process of this machine is in the table at once.
  page = await chromium.newPage({ viewport: { width: 1400, height: 9000 } });
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on(
    "console",
    (message) =>
      message.type() === "error" &&
      !/WebSocket|ERR_CONNECTION|40[149]|412/.test(message.text()) &&
      faults.push(message.text()),
  );
});

after(async () => {
  await chromium?.close();
  await site?.stop();
  site?.remove();
});

const row = (pid) => page.locator(`table.processes tr[data-pid="${pid}"]`);
const instant = () => page.getByTestId("instant").getAttribute("data-timestamp");

/** A child that does nothing, with a child of its own: pids of both. */
async function family() {
  const parent = spawn("sh", ["-c", "sleep 4321 & echo $!; wait"], { stdio: ["ignore", "pipe", "inherit"] });
  const [text] = await once(parent.stdout, "data");
  return { parent, child: Number(String(text).trim()) };
}

const timestamps = async (from) =>
  (await api(site, `/api/v1/machines/${machineId}/snapshots?from=${from}&limit=1000`)).results.map((s) =>
    Date.parse(s.timestamp),
  );

test("this machine's processes are there within 10 s, and change live", async () => {
  await setUp(page, site);
  await page.locator("table.fleet tbody a").first().click();
  await row(process.pid).waitFor();
  const first = await instant();
  await until("another instant", async () => (await instant()) !== first);
  assert.ok(Date.now() - cameUp < 10_000, `it took ${Date.now() - cameUp} ms from the URL to a live change`);
  machineId = await thisMachine(site);
});

/** A name as ps cuts it. The kernel's workers end theirs with what they do at the moment. */
const steady = (name) => name.slice(0, 15).replace(/^(kworker\/[^+-]*)[+-].*/, "$1");

test("the snapshot says what ps says", async () => {
  const ps = () =>
    new Map(
      execFileSync("ps", ["-eo", "pid=,ppid=,user:64=,comm="], { encoding: "utf8" })
        .trim()
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .map(([pid, ppid, user, ...comm]) => [Number(pid), { ppid: Number(ppid), user, comm: comm.join(" ") }]),
    );
  const earlier = ps();
  const asked = Date.now();
  const latest = await until("a snapshot taken after ps", async () => {
    const [newest] = (await api(site, `/api/v1/machines/${machineId}/snapshots?include_processes=1`)).results;
    return Date.parse(newest.timestamp) > asked && newest;
  });
  const later = ps();
  const listed = new Map(latest.processes.map((p) => [p.pid, p]));
  let compared = 0;
  for (const [pid, { ppid, user, comm }] of earlier) {
    if (!later.has(pid) || steady(later.get(pid).comm) !== steady(comm)) continue; // it ended, or called exec, in between
    const found = listed.get(pid);
    assert.ok(found, `ps lists ${pid} ${comm}, the snapshot does not`);
    assert.equal(found.ppid, ppid, `parent of ${pid}`);
    assert.equal(found.user, user, `user of ${pid}`);
    assert.equal(steady(found.name), steady(comm), `name of ${pid}`);
    compared++;
  }
  assert.ok(compared > 10, `only ${compared} processes were compared`);
  for (const pid of listed.keys())
    assert.ok(
      earlier.has(pid) || later.has(pid) || Date.parse(listed.get(pid).started_at) > asked - 1000,
      `${pid} is in the snapshot, but never in ps`,
    );
  const at = await api(site, `/api/v1/machines/${machineId}/at?time=${latest.timestamp}`);
  assert.deepEqual(at.processes, latest.processes, "/at and latest differ");
  const range = await api(site, `/api/v1/machines/${machineId}/snapshots?since=1h&include_processes=1`);
  assert.deepEqual(
    range.results.find((s) => s.timestamp === latest.timestamp)?.processes,
    latest.processes,
    "range and latest differ",
  );
});

test("a link from a chart opens the machine at an instant, and leads back", async () => {
  const [past] = await timestamps(new Date(Date.now() - 600_000).toISOString());
  await page.goto(`${site.url}/machines/${machineId}?at=${past + 400}`);
  await row(process.pid).waitFor();
  assert.equal(Date.parse(await instant()), past);
  await page.getByLabel("Filter processes").fill("node");
  await page
    .getByTestId("process-count")
    .filter({ hasText: /^\d+ of/ })
    .waitFor();
  assert.match(page.url(), /at=.*filter=node|filter=node.*at=/, "what is shown changes, the instant stays");
  await page.goto(`${site.url}/machines/${machineId}?at=1000`);
  await page.getByText("There is nothing of that time.").waitFor();
  await page.getByRole("button", { name: "Show it live" }).click();
  await row(process.pid).waitFor();
  await until("the present", async () => Date.parse(await instant()) > past);
});

test("PATCH 5 to 1 changes the cadence within two intervals", async () => {
  await page.getByLabel("Polling interval in seconds").fill("1");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  const saved = Date.now();
  const times = await until("five snapshots a second apart", async () => {
    const stored = (await timestamps(new Date(saved).toISOString())).filter((t) => t > saved);
    return stored.length >= 7 && stored;
  });
  assert.ok(times[0] - saved <= 5500, `the first snapshot came ${times[0] - saved} ms after the change`);
  const gaps = times.slice(1).map((t, i) => t - times[i]);
  assert.ok(
    gaps.slice(1).every((gap) => gap > 800 && gap < 1300),
    `gaps of ${gaps} ms`,
  );
  assert.ok(times[1] - saved <= 10_000, "two intervals passed before the new cadence");
});

test("names that are excluded never leave the machine", async () => {
  const { parent, child } = await family();
  await row(child).waitFor();
  const names = page.getByLabel("Names that are not recorded");
  await names.fill("slee*, nothing");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  await row(child).waitFor({ state: "detached" });
  await row(parent.pid).waitFor();
  const newest = (await api(site, `/api/v1/machines/${machineId}/snapshots?include_processes=1`)).results[0];
  assert.ok(newest.processes.length > 10 && !newest.processes.some((p) => p.name.startsWith("slee")));
  await names.fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await row(child).waitFor();
  parent.kill();
  process.kill(child);
});

test("what is not to be collected is not, and the rest is shown", async () => {
  const newest = async () =>
    (await api(site, `/api/v1/machines/${machineId}/snapshots?include_processes=1`)).results[0];
  const vitals = page.getByTestId("vitals");
  await vitals.getByText(/^CPU: /).waitFor();
  await vitals.getByRole("img", { name: /\d+ cores?, the busiest at \d+ %/ }).waitFor();
  assert.ok((await newest()).processes.some((p) => p.command_line && p.open_files > 0));
  for (const part of ["command lines", "each core", "open files"])
    await page.getByLabel(part, { exact: true }).uncheck();
  await page.getByLabel("Names that alone are recorded").fill("node, snapwatch*");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Saved.").waitFor();
  await vitals.getByRole("img", { name: /cores/ }).waitFor({ state: "detached" });
  const { processes, machine_snapshot } = await newest();
  assert.ok(
    processes.length > 1 &&
      processes.every(
        (p) => /^(node|snapwatch.*)$/.test(p.name) && p.command_line === "" && p.open_files === undefined,
      ),
    JSON.stringify(processes[0]),
  );
  assert.ok(machine_snapshot.cpu && !machine_snapshot.cores);
  for (const part of ["command lines", "each core", "open files"]) await page.getByLabel(part, { exact: true }).check();
  await page.getByLabel("Names that alone are recorded").fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await vitals.getByRole("img", { name: /cores/ }).waitFor();
});

test("a process that comes and goes between two snapshots is found in the comparison", async () => {
  const from = new Date().toISOString();
  const passed = spawn("sh", ["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
  await once(passed, "exit");
  const of = (list) => list.find((p) => p.pid === passed.pid);
  if (process.getuid() !== 0) {
    // the kernel tells root alone: others count it
    await until("it is counted", async () =>
      (await api(site, `/api/v1/machines/${machineId}/snapshots?from=${from}`)).results.some(
        (s) => s.machine_snapshot.unseen_processes > 0,
      ),
    );
    return;
  }
  await until("it is stored as one that passed", async () => {
    const diff = await api(
      site,
      `/api/v1/machines/${machineId}/diff?from=${from}&to=${new Date().toISOString()}`,
    ).catch(() => undefined);
    return diff && of([...diff.passed, ...diff.ended]);
  });
});

test("a child appears under its parent, disappears, and is found in the past", async () => {
  const { parent, child } = await family();
  await row(child).waitFor();
  assert.equal(await row(child).getAttribute("data-ppid"), String(parent.pid));
  const level = async (pid) => Number(await row(pid).getAttribute("aria-level"));
  assert.equal(await level(child), (await level(parent.pid)) + 1, "the child is one level below its parent");
  const pids = await page
    .locator("table.processes tr[data-pid]")
    .evaluateAll((rows) => rows.map((r) => Number(r.dataset.pid)));
  assert.equal(pids.indexOf(child), pids.indexOf(parent.pid) + 1, "the child follows its parent");
  const seen = await instant();
  parent.kill();
  process.kill(child);
  await once(parent, "exit");
  await row(child).waitFor({ state: "detached" });
  const past = await api(site, `/api/v1/machines/${machineId}/at?time=${seen}&process_tree=1`);
  const find = (nodes, pid) =>
    nodes.reduce((found, node) => found ?? (node.pid === pid ? node : find(node.children ?? [], pid)), undefined);
  const then = find(past.process_tree, parent.pid);
  assert.equal(then?.children?.[0]?.pid, child, "in the past the child is under its parent");
  assert.match(then.children[0].command_line, /^sleep 4321/);
  const now = await api(site, `/api/v1/machines/${machineId}/snapshots?include_processes=1`);
  assert.ok(!now.results[0].processes.some((p) => p.pid === child), "now it is gone");
});

test("collapse, sort, filter, exclude, and their place in the URL", async () => {
  const { parent, child } = await family();
  await row(child).waitFor();
  const collapse = row(parent.pid).getByRole("button", { name: "Collapse sh" });
  await collapse.click();
  await row(child).waitFor({ state: "detached" });
  assert.match(await row(parent.pid).innerText(), /\+1/);
  await row(parent.pid).getByRole("button", { name: "Expand sh" }).click();
  await row(child).waitFor();

  await page.getByLabel("Filter processes").fill("sleep 4321");
  await page
    .getByTestId("process-count")
    .filter({ hasText: /^\d of/ })
    .waitFor();
  await row(child).waitFor();
  assert.match(await row(1).getAttribute("class"), /faint/, "ancestors of a match stay, faint");
  assert.match(page.url(), /filter=sleep/);
  await page.reload();
  await row(child).waitFor();
  assert.equal(await page.getByLabel("Filter processes").inputValue(), "sleep 4321");
  await page.getByLabel("Filter processes").fill("");

  await page.getByRole("button", { name: "Filters" }).click();
  const exclude = page.getByLabel("Exclude processes by name");
  await exclude.fill("sleep");
  await exclude.press("Enter");
  await page.keyboard.press("Escape");
  await row(child).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Show sleep again" }).click();
  await row(child).waitFor();

  await page.getByRole("button", { name: "Show as list" }).click();
  await page.getByRole("button", { name: "Memory", exact: true }).click();
  await page.locator('th[aria-sort="descending"]', { hasText: "Memory" }).waitFor();
  const newest = (await api(site, `/api/v1/machines/${machineId}/snapshots?include_processes=1`)).results[0].processes;
  const largest = newest.reduce((a, b) => (b.memory_usage > a.memory_usage ? b : a));
  await until(
    "the largest process comes first",
    async () =>
      Number(await page.locator("table.processes tr[data-pid]").first().getAttribute("data-pid")) === largest.pid,
  );
  await page.getByRole("button", { name: "Show as tree" }).click();
  await page.getByRole("button", { name: "PID", exact: false }).click();
  parent.kill();
  process.kill(child);
});

test("a name that is markup, or that a terminal would obey, is shown as text", async () => {
  const evil = "<img src=x onerror=window.hacked=1>\u001b[31m\u009b2J";
  const child = spawn("bash", ["-c", 'exec -a "$1" sleep 4322', "bash", evil], { stdio: "ignore" });
  after(() => child.kill());
  await row(child.pid).waitFor();
  assert.match(await row(child.pid).innerText(), /<img src=x onerror/);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  const raw = await (
    await fetch(`${site.url}/api/v1/machines/${machineId}/snapshots?include_processes=1`, {
      headers: { Authorization: `Bearer ${site.token}` },
    })
  ).text();
  assert.ok(raw.includes("<img src=x onerror"), "the name is not there as it is");
  const csv = await (
    await fetch(`${site.url}/api/v1/machines/${machineId}/export?since=1m&format=csv`, {
      headers: { Authorization: `Bearer ${site.token}` },
    })
  ).text();
  for (const text of [raw, csv.replaceAll("\n", "")])
    assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f]/, "a terminal would obey this");
  child.kill();
});

test("disabled: no snapshots, but signs of life", async () => {
  await patch(site, machineId, { enabled: false });
  await page.getByText("Snapshots are disabled.").waitFor();
  const machine = () => api(site, `/api/v1/machines/${machineId}`);
  const quiet = await until("two seconds without a snapshot", async () => {
    const m = await machine();
    return Date.parse(m.last_seen) - Date.parse(m.last_snapshot) > 2500 && m;
  });
  const later = await until("two more heartbeats", async () => {
    const m = await machine();
    return Date.parse(m.last_seen) - Date.parse(quiet.last_seen) > 1800 && m;
  });
  assert.equal(later.last_snapshot, quiet.last_snapshot, "a disabled agent took a snapshot");
  assert.equal(later.status, "up");
  await patch(site, machineId, { enabled: true });
  await until("snapshots go on", async () => (await machine()).last_snapshot !== quiet.last_snapshot);
});

test("two admins do not overwrite each other", async () => {
  await page.getByLabel("Polling interval in seconds").fill("7");
  await patch(site, machineId, { polling_interval: 2 });
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Someone else has changed this machine's config").waitFor();
  assert.equal((await api(site, `/api/v1/machines/${machineId}`)).polling_interval, 2);
  await page.getByRole("button", { name: "Show the current config" }).click();
  assert.equal(await page.getByLabel("Polling interval in seconds").inputValue(), "2");
  await patch(site, machineId, { polling_interval: 1 });
});

test("a killed server comes back with its history, and the page by itself", async () => {
  const before = await timestamps(new Date(cameUp).toISOString());
  await site.kill();
  await page.getByText("connection lost").waitFor();
  await page.getByText("The server does not answer.").waitFor();
  const again = await up({ dir: site.dir, listen: site.listen });
  site.child = again.child;
  site.stop = again.stop;
  await page.locator(".badge.up", { hasText: "live" }).waitFor();
  const seen = await instant();
  await until("the page goes on live", async () => (await instant()) !== seen);
  const kept = new Set(await timestamps(new Date(cameUp - 60_000).toISOString()));
  assert.ok(
    before.every((t) => kept.has(t)),
    "history was lost",
  );
});

test("a forgotten machine is gone, and comes back with its name, without its history", async () => {
  const name = (await api(site, `/api/v1/machines/${machineId}`)).hostname;
  const forgotten = Date.now();
  await page.getByRole("button", { name: "Forget this machine…" }).click();
  await page.getByRole("button", { name: "Forget", exact: true }).click();
  await page.getByRole("heading", { name: "Machines" }).waitFor();
  await page.locator("table.fleet tbody a", { hasText: name }).waitFor();
  await thisMachine(site);
  const kept = await timestamps(new Date(cameUp - 60_000).toISOString());
  assert.ok(
    kept.every((t) => t > forgotten - 2000),
    "history outlived its machine",
  );
  await page.goto(`${site.url}/machines/nobody`);
  await page.getByText("There is no such machine.").waitFor();
});

test("nothing went wrong on the page", () => assert.deepEqual(faults, []));
