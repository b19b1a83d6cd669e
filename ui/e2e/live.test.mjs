// The live view of this machine: a real agent, server, database and browser.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before } from "node:test";
import {
  api,
  collectErrors,
  localMachine,
  newPage,
  parentName,
  patchMachine,
  setUp,
  startBrowser,
  startFamily,
  startServer,
  test,
  until,
} from "./harness.mjs";

let site;
let browser;
let page;
let machineId;
let startedAt;
const errors = [];

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer()]);
  startedAt = Date.now();
  // The page is high enough to render every process of this machine.
  page = await newPage(browser, { viewport: { width: 1400, height: 20_000 } });
  collectErrors(page, errors, /WebSocket|ERR_CONNECTION|40[149]|412|503/);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

const row = (pid) => page.locator(`table.processes tr[data-pid="${pid}"]`);
const instant = () => page.getByTestId("instant").getAttribute("data-timestamp");
const machine = () => api(site, `/api/v1/machines/${machineId}`);

/** Returns the newest snapshot with its processes. */
const newestSnapshot = async () =>
  (await api(site, `/api/v1/machines/${machineId}/snapshots?include_processes=1`)).results[0];

const isRecorded = async (pid) => (await newestSnapshot()).processes.some((p) => p.pid === pid);

/**
 * Waits until a process is gone, first from the newest snapshot and then from the page. A row that is
 * missing for a moment is not enough: the table replaces rows while it renders.
 */
async function untilGone(pid) {
  await until(`process ${pid} to be gone from the newest snapshot`, async () => !(await isRecorded(pid)));
  await row(pid).waitFor({ state: "detached" });
}

const timestamps = async (from) => {
  const query = `from=${new Date(from).toISOString()}&limit=1000`;
  const { results } = await api(site, `/api/v1/machines/${machineId}/snapshots?${query}`);
  return results.map((s) => Date.parse(s.timestamp));
};

const openSettings = () => page.getByRole("button", { name: "Settings" }).click();
const closeSettings = () => page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
const saveButton = () => page.getByRole("button", { name: "Save" });
const intervalInput = () => page.getByLabel("Polling interval in seconds");

/** Edits the settings of the machine, and saves them. */
async function changeSettings(edit) {
  await openSettings();
  await edit();
  await saveButton().click();
  await page.getByText("Saved.").waitFor();
  await closeSettings();
}

test("after setup, the page shows the processes of this machine and changes live", async () => {
  await setUp(page, site);
  await page.locator("table.fleet tbody a").first().click();
  await row(process.pid).waitFor();
  const first = await instant();
  await until("another instant", async () => (await instant()) !== first);
  machineId = await localMachine(site);
});

/** Returns a process name as ps shows it. Names of kernel workers end with their current task, which is removed. */
const stableName = (name) => name.slice(0, 15).replace(/^(kworker\/[^+-]*)[+-].*/, "$1");

/** Returns the processes that ps lists, by pid. */
function ps() {
  const lines = execFileSync("ps", ["-eo", "pid=,ppid=,user:64=,comm="], { encoding: "utf8" }).trim().split("\n");
  return new Map(
    lines
      .map((line) => line.trim().split(/\s+/))
      .map(([pid, ppid, user, ...comm]) => [Number(pid), { ppid: Number(ppid), user, comm: comm.join(" ") }]),
  );
}

test("a snapshot agrees with ps", async () => {
  const begin = Date.now();
  const earlier = ps();
  const listed = Date.now();
  const latest = await until("a snapshot after ps", async () => {
    const newest = await newestSnapshot();
    return Date.parse(newest.timestamp) > listed && newest;
  });
  const later = ps();
  const recorded = new Map(latest.processes.map((p) => [p.pid, p]));
  let compared = 0;
  for (const [pid, { ppid, user, comm }] of earlier) {
    // Only processes that did not exit, call exec or lose their parent in between can be compared.
    const unchanged =
      later.has(pid) && stableName(later.get(pid).comm) === stableName(comm) && later.get(pid).ppid === ppid;
    if (!unchanged) continue;
    const found = recorded.get(pid);
    assert.ok(found, `ps lists ${pid} ${comm}, the snapshot does not`);
    assert.equal(found.ppid, ppid, `parent of ${pid}`);
    assert.equal(found.user, user, `user of ${pid}`);
    assert.equal(stableName(found.name), stableName(comm), `name of ${pid}`);
    compared++;
  }
  assert.ok(compared > 10, `only ${compared} processes were compared`);
  for (const [pid, { started_at }] of recorded) {
    // Start times are calculated from the boot time, so they are only accurate to a fraction of a second.
    const known = earlier.has(pid) || later.has(pid) || Date.parse(started_at) > begin - 1000;
    assert.ok(known, `${pid} is in the snapshot, but never in ps`);
  }
  const at = await api(site, `/api/v1/machines/${machineId}/at?time=${latest.timestamp}`);
  assert.deepEqual(at.processes, latest.processes, "/at and the latest snapshot differ");
  const range = await api(site, `/api/v1/machines/${machineId}/snapshots?since=1h&include_processes=1`);
  const same = range.results.find((s) => s.timestamp === latest.timestamp);
  assert.deepEqual(same?.processes, latest.processes, "the range and the latest snapshot differ");
});

test("a link from a chart opens the machine at an instant, and leads back to the live view", async () => {
  const [past] = await timestamps(startedAt - 600_000);
  await page.goto(`${site.url}/machines/${machineId}?at=${past + 400}`);
  await row(process.pid).waitFor();
  assert.equal(Date.parse(await instant()), past);
  await page.getByLabel("Filter processes").fill("node");
  await page
    .getByTestId("process-count")
    .filter({ hasText: /^\d+ of/ })
    .waitFor();
  assert.match(page.url(), /at=.*filter=node|filter=node.*at=/, "a filter must not change the instant");
  await page.goto(`${site.url}/machines/${machineId}?at=1000`);
  await page.getByText("No data for this time.").waitFor();
  await page.getByRole("button", { name: "Show live view" }).click();
  await row(process.pid).waitFor();
  await until("a live snapshot", async () => Date.parse(await instant()) > past);
});

test("a new polling interval takes effect within two reports", async () => {
  const marker = site.log.length;
  await changeSettings(() => intervalInput().fill("1"));
  const saved = Date.now();
  const applied = await until("the agent to apply the interval", () => {
    const index = site.log.findIndex((line, i) => i >= marker && /msg="new config" polling_interval=1 /.test(line));
    return index >= 0 && index;
  });
  const patched = site.log.findIndex((line, i) => i >= marker && /method=PATCH/.test(line));
  const reports = site.log.slice(patched, applied).filter((line) => /POST path=\/api\/v1\/snapshots /.test(line));
  assert.ok(reports.length <= 2, `${reports.length} reports before the new interval`);
  // Single snapshots are late on a busy machine, so the median of the intervals is compared.
  await until("snapshots every second", async () => {
    const times = (await timestamps(saved)).filter((t) => t > saved);
    const gaps = times.slice(1).map((t, i) => t - times[i]);
    const median = gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)];
    return gaps.length >= 5 && median > 800 && median < 1300;
  });
});

test("excluded processes are not recorded", async () => {
  const { parent, child, end } = await startFamily(site, 4321);
  await row(child).waitFor();
  const names = page.getByLabel("Exclude processes with these names");
  await changeSettings(() => names.fill("slee*, nothing"));
  await untilGone(child);
  await row(parent).waitFor();
  const { processes } = await newestSnapshot();
  assert.ok(processes.length > 10 && !processes.some((p) => p.name.startsWith("slee")));
  await changeSettings(() => names.fill(""));
  await row(child).waitFor();
  await end();
});

test("only selected parts and processes are recorded, and the page shows them", async () => {
  const parts = ["command lines", "CPU usage per core", "open files"];
  const details = page.getByTestId("system-details");
  const coresOf = (parent) => parent.getByRole("img", { name: /\d+ cores?, busiest at \d+ %/ });
  const cores = coresOf(details);
  await details.getByText(/^CPU: /).waitFor();
  await cores.waitFor();
  assert.ok((await newestSnapshot()).processes.some((p) => p.command_line && p.open_files > 0));
  const include = page.getByLabel("Record only processes with these names");
  await changeSettings(async () => {
    for (const part of parts) await page.getByLabel(part, { exact: true }).uncheck();
    await include.fill("node, snapwatch*");
  });
  const { processes } = await until("a snapshot without the usage of cores", async () => {
    const newest = await newestSnapshot();
    return newest.machine_snapshot.cpu && !newest.machine_snapshot.cores && newest;
  });
  const reduced = (p) => /^(node|snapwatch.*)$/.test(p.name) && p.command_line === "" && p.open_files === undefined;
  assert.ok(processes.length > 1);
  assert.deepEqual(
    processes.filter((p) => !reduced(p)),
    [],
  );
  // All details are absent for a moment if a snapshot is late, so their text is required as well.
  await details
    .filter({ hasText: /CPU: / })
    .filter({ hasNot: coresOf(page) })
    .waitFor();
  await changeSettings(async () => {
    for (const part of parts) await page.getByLabel(part, { exact: true }).check();
    await include.fill("");
  });
  await cores.waitFor();
});

test("a button of the settings is clicked even if the process table grows while it is pressed", async () => {
  await openSettings();
  await intervalInput().fill("1.5");
  await saveButton().hover();
  await page.mouse.down();
  const { child, end } = await startFamily(site, 4321);
  await row(child).waitFor();
  await page.mouse.up();
  await page.getByText("Saved.").waitFor();
  await intervalInput().fill("1");
  await saveButton().click();
  await page.getByText("Saved.").waitFor();
  await closeSettings();
  await end();
});

test("a process that runs between two snapshots is part of a comparison", async () => {
  const from = new Date().toISOString();
  const shortLived = spawn("sh", ["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
  await once(shortLived, "exit");
  const query = () => `from=${from}&to=${new Date().toISOString()}`;
  if (process.getuid() !== 0) {
    // The kernel reports such processes to root only. Without root, the agent counts them.
    await until("the process to be counted", async () => {
      const { results } = await api(site, `/api/v1/machines/${machineId}/snapshots?from=${from}`);
      return results.some((s) => s.machine_snapshot.unseen_processes > 0);
    });
    return;
  }
  await until("the process to be stored", async () => {
    const diff = await api(site, `/api/v1/machines/${machineId}/diff?${query()}`).catch(() => undefined);
    return diff && [...diff.passed, ...diff.ended].some((p) => p.pid === shortLived.pid);
  });
});

test("a child appears under its parent, disappears, and remains in the past", async () => {
  const { parent, child, end } = await startFamily(site, 4321);
  await row(child).waitFor();
  assert.equal(await row(child).getAttribute("data-ppid"), String(parent));
  // Read both rows at once: the table can change at any time.
  const rows = await page
    .locator("table.processes tr[data-pid]")
    .evaluateAll((rows) => rows.map((r) => [Number(r.dataset.pid), Number(r.getAttribute("aria-level"))]));
  const index = rows.findIndex(([pid]) => pid === parent);
  const level = rows[index][1];
  assert.deepEqual(rows[index + 1], [child, level + 1], "the child follows its parent, one level below");
  const seen = await instant();
  await end();
  await untilGone(child);
  const past = await api(site, `/api/v1/machines/${machineId}/at?time=${seen}&process_tree=1`);
  const find = (nodes, pid) =>
    nodes.reduce((found, node) => found ?? (node.pid === pid ? node : find(node.children ?? [], pid)), undefined);
  const then = find(past.process_tree, parent);
  assert.equal(then?.children?.[0]?.pid, child, "in the past, the child is below its parent");
  assert.match(then.children[0].command_line, /^sleep 4321/);
});

test("collapse, sort, filter and exclude, with the state in the URL", async () => {
  const { parent, child, end } = await startFamily(site, 4321);
  await row(child).waitFor();
  await row(parent)
    .getByRole("button", { name: `Collapse ${parentName}` })
    .click();
  await row(child).waitFor({ state: "detached" });
  assert.match(await row(parent).innerText(), /\+1/);
  await row(parent)
    .getByRole("button", { name: `Expand ${parentName}` })
    .click();
  await row(child).waitFor();

  await page.getByLabel("Filter processes").fill("sleep 4321");
  await page
    .getByTestId("process-count")
    .filter({ hasText: /^\d of/ })
    .waitFor();
  await row(child).waitFor();
  assert.match(await row(1).getAttribute("class"), /faint/, "ancestors of a match remain visible");
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
  await page.getByRole("button", { name: "Remove filter: not sleep" }).click();
  await row(child).waitFor();

  await page.getByRole("button", { name: "Show as list" }).click();
  await page.getByRole("button", { name: "Memory", exact: true }).click();
  await page.locator('th[aria-sort="descending"]', { hasText: "Memory" }).waitFor();
  await until("the largest process to be the first", async () => {
    const { processes } = await newestSnapshot();
    const largest = processes.reduce((a, b) => (b.memory_usage > a.memory_usage ? b : a));
    const first = await page.locator("table.processes tr[data-pid]").first().getAttribute("data-pid");
    return Number(first) === largest.pid;
  });
  await page.getByRole("button", { name: "Show as tree" }).click();
  await page.getByRole("button", { name: "PID", exact: false }).click();
  await end();
});

test("a process name with markup or control characters is shown as text", async () => {
  const evil = "<img src=x onerror=window.hacked=1>\u001b[31m\u009b2J";
  const child = spawn("bash", ["-c", 'exec -a "$1" sleep 4322', "bash", evil], { stdio: "ignore" });
  after(() => child.kill());
  await row(child.pid).filter({ hasText: "<img src=x onerror" }).waitFor();
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  const headers = { Authorization: `Bearer ${site.token}` };
  const get = async (route) => (await fetch(`${site.url}/api/v1/machines/${machineId}/${route}`, { headers })).text();
  const json = await get("snapshots?include_processes=1");
  assert.ok(json.includes("<img src=x onerror"), "the name is not in the response");
  const csv = await get("export?since=1m&format=csv");
  // eslint-disable-next-line no-control-regex -- a terminal would interpret these characters
  for (const text of [json, csv.replaceAll("\n", "")]) assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f]/);
  child.kill();
});

test("a disabled agent sends heartbeats, but no snapshots", async () => {
  await patchMachine(site, machineId, { enabled: false });
  await page.getByText("Snapshots are disabled.").waitFor();
  const silent = await until("two seconds without a snapshot", async () => {
    const m = await machine();
    return Date.parse(m.last_seen) - Date.parse(m.last_snapshot) > 2500 && m;
  });
  const later = await until("two more heartbeats", async () => {
    const m = await machine();
    return Date.parse(m.last_seen) - Date.parse(silent.last_seen) > 1800 && m;
  });
  assert.equal(later.last_snapshot, silent.last_snapshot, "a disabled agent took a snapshot");
  assert.equal(later.status, "up");
  await patchMachine(site, machineId, { enabled: true });
  await until("another snapshot", async () => (await machine()).last_snapshot !== silent.last_snapshot);
});

test("two administrators do not overwrite each other's settings", async () => {
  await openSettings();
  await intervalInput().fill("7");
  await patchMachine(site, machineId, { polling_interval: 2 });
  await saveButton().click();
  await page.getByText("Someone else changed them in the meantime.").waitFor();
  assert.equal((await machine()).polling_interval, 2);
  await page.getByRole("button", { name: "Load current settings" }).click();
  await until("the current interval", async () => (await intervalInput().inputValue()) === "2");
  await closeSettings();
  await patchMachine(site, machineId, { polling_interval: 1 });
});

test("after a server crash, the history is complete and the page reconnects", async () => {
  const before = await timestamps(startedAt);
  await site.kill();
  await page.getByText("Connection lost.").waitFor();
  await page.getByText("Cannot reach the server.").waitFor();
  const restarted = await startServer({ dir: site.dir, listen: site.listen });
  Object.assign(site, { child: restarted.child, stop: restarted.stop });
  await page.locator(".badge.up", { hasText: "Live" }).waitFor();
  const seen = await instant();
  await until("another live snapshot", async () => (await instant()) !== seen);
  const kept = new Set(await timestamps(startedAt - 60_000));
  assert.ok(
    before.every((t) => kept.has(t)),
    "snapshots were lost",
  );
});

test("a deleted machine returns without its history", async () => {
  const { hostname, last_snapshot } = await machine();
  await openSettings();
  await page.getByRole("button", { name: "Delete machine…" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("heading", { name: "Machines" }).waitFor();
  await page.locator("table.fleet tbody a", { hasText: hostname }).waitFor();
  await localMachine(site);
  const kept = await timestamps(startedAt - 60_000);
  assert.ok(
    kept.every((t) => t > Date.parse(last_snapshot)),
    "snapshots of the deleted machine remain",
  );
  await page.goto(`${site.url}/machines/nobody`);
  await page.getByText("This machine does not exist").waitFor();
});

test("there were no errors on the page", () => assert.deepEqual(errors, []));
