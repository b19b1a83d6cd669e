// What the pages say about numbers: what a list or a sum leaves out, and what is not known. The machines are simulated.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { assertAccessible } from "./axe.mjs";
import { collectErrors, newContext, setUp, startBrowser, startServer, test, until } from "./harness.mjs";
import { post, register } from "./simulate.mjs";

let site;
let browser;
let page;
const errors = [];

/** The time of the first snapshot, in milliseconds: a quarter of an hour ago. */
const begin = Math.floor(Date.now() / 1000) * 1000 - 900_000;
const iso = (ms) => new Date(ms).toISOString();
const at = (second) => iso(begin + 1000 * second);

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer({ agent: false })]);
  const context = await newContext(browser, { viewport: { width: 1400, height: 1000 } });
  page = await context.newPage();
  collectErrors(page, errors, /WebSocket|ERR_CONNECTION|40[14]|503/);
  await setUp(page, site);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

const init = { pid: 1, started_at: at(-100), ppid: 0, name: "init", state: "S", cpu_ms: 0, memory_usage: 1_000_000 };
const total = { total_ram: 2 ** 34, used_ram: 2 ** 32 };

test("CPU that no listed process has is a line of its own", async () => {
  await register(site, "brief", { cpu_count: 2 });
  const ended = (pid, cpu_ms) => ({ ...init, pid, ppid: 1, name: "true", state: "X", cpu_ms });
  await post(site, "brief", [
    { timestamp: at(0), interval_ms: 1000, machine_snapshot: { ...total, cpu_usage: 0 }, processes: [init] },
    {
      timestamp: at(1),
      kind: "changes",
      previous: at(0),
      interval_ms: 1000,
      machine_snapshot: { ...total, cpu_usage: 51 },
      processes: [
        { pid: 1, started_at: init.started_at, state: "R", cpu_ms: 10, memory_usage: 1_000_000 },
        ended(12, 400.2),
        ended(13, 579.8),
      ],
    },
    {
      timestamp: at(2),
      kind: "changes",
      previous: at(1),
      interval_ms: 1000,
      machine_snapshot: { ...total, cpu_usage: 1 },
    },
  ]);
  const line = page.getByTestId("unlisted-cpu");
  await page.goto(`${site.url}/machines/brief?at=${at(1)}`);
  await line.getByText("2 processes, 98.0 % CPU").waitFor();
  await line.getByText("3.0 % CPU").waitFor(); // needs the number of cores, which is a request of its own
  assert.equal(await line.innerText(), "Ended in this interval: 2 processes, 98.0 % CPU\nNot accounted for: 3.0 % CPU");
  await line.getByRole("link").click();
  const list = page.getByRole("region", { name: "Started and ended in between", exact: true });
  await list.getByText("580 ms").waitFor();
  assert.equal(await list.locator("tbody tr").count(), 2);
  // The live view has the same line. It names processes whose usage is unknown.
  const now = iso(Date.now());
  const silent = { ...init, pid: 14, ppid: 1, cpu_ms: undefined, memory_usage: undefined };
  await post(site, "brief", [
    { timestamp: now, interval_ms: 1000, machine_snapshot: { ...total, cpu_usage: 1 }, processes: [init, silent] },
  ]);
  const report = setInterval(() => void post(site, "brief", []), 1000);
  try {
    await page.goto(`${site.url}/machines/brief`);
    await line.getByText("2.0 % CPU").waitFor();
    assert.match(await line.innerText(), /Not accounted for: 2\.0 % CPU, including 1 process with unknown usage$/);
  } finally {
    clearInterval(report);
  }
});

test("the CPU usage of ended processes says for how many it is unknown", async () => {
  await register(site, "partly", { cpu_count: 4 });
  const ended = Array.from({ length: 12 }, (_, i) => ({
    ...init,
    pid: 100 + i,
    ppid: 1,
    name: "true",
    state: "X",
    cpu_ms: i < 3 ? undefined : 80,
  }));
  await post(site, "partly", [
    { timestamp: at(0), interval_ms: 1000, machine_snapshot: { ...total, cpu_usage: 0 }, processes: [init] },
    {
      timestamp: at(1),
      kind: "changes",
      previous: at(0),
      interval_ms: 1000,
      machine_snapshot: { ...total, cpu_usage: 50 },
      processes: ended,
    },
  ]);
  const line = page.getByTestId("unlisted-cpu");
  await page.goto(`${site.url}/machines/partly?at=${at(1)}`);
  await line.getByText("128.0 % CPU").waitFor(); // needs the number of cores
  assert.equal(
    await line.innerText(),
    "Ended in this interval: 12 processes, ≥\u00a072.0 % CPU, unknown for 3\n" +
      "Not accounted for: 128.0 % CPU, including 3 processes with unknown usage",
  );
});

test("the link to processes that ended in an unknown interval leads to them", async () => {
  const gone = { ...init, pid: 11, ppid: 1, name: "gone", cpu_ms: undefined, state: "X" };
  await post(site, "unknown", [
    { timestamp: at(-400), interval_ms: 5000, machine_snapshot: { cpu_usage: 5 }, processes: [init] },
    { timestamp: at(0), machine_snapshot: {}, processes: [{ ...init, cpu_ms: undefined }, gone] },
  ]);
  await page.goto(`${site.url}/machines/unknown?at=${at(0)}`);
  await page.getByTestId("unlisted-cpu").getByRole("link", { name: "1 process" }).click();
  await page
    .getByRole("region", { name: "Started and ended in between", exact: true })
    .getByText("gone")
    .first()
    .waitFor();
  assert.equal(await page.getByText("Both times have the same snapshot.").count(), 0);
});

test("after a gap, the usage of idle processes is unknown until they are measured, and sums leave it out", async () => {
  const one = (pid, ppid, values) => ({ ...init, pid, ppid, name: `p${pid}`, cpu_ms: undefined, ...values });
  await register(site, "resumed", { cpu_count: 2 });
  await post(site, "resumed", [
    { timestamp: at(-600), interval_ms: 1000, machine_snapshot: { ...total, cpu_usage: 0 }, processes: [init] },
    { timestamp: at(0), machine_snapshot: total, processes: [one(1, 0), one(2, 1), one(3, 1)] },
    {
      timestamp: at(1),
      kind: "changes",
      previous: at(0),
      interval_ms: 1000,
      machine_snapshot: { ...total, cpu_usage: 10 },
      processes: [{ ...one(3, 1), cpu_ms: 120, read_bytes: 2048, write_bytes: 0 }],
    },
  ]);
  const table = page.locator("table.processes");
  const reason = page.getByTestId("unknown-usage");
  const cells = (pid) => table.locator(`tr[data-pid="${pid}"] td`).allInnerTexts();
  await page.goto(`${site.url}/machines/resumed?at=${at(1)}`);
  await reason.getByText("CPU usage for 2 of 3 processes, I/O for 2 of 3 processes. Not measured").waitFor();
  assert.equal((await cells(2))[3], "–");
  assert.equal((await cells(3))[3], "12.0");
  assert.match(
    await table.locator('tr[data-pid="2"] td [title]').nth(1).getAttribute("title"),
    /^Unknown\. Not measured/,
  );
  await page.getByRole("button", { name: "Collapse all" }).click();
  await table.getByText("+2").waitFor();
  const sums = await cells(1);
  assert.deepEqual([sums[3], sums[7], sums[8]], ["≥\u00a012.0", "≥\u00a02.0 KiB/s", "≥\u00a00"]);
  await page.getByRole("button", { name: "Export", exact: true }).click();
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByText("Table (CSV)").click()]);
  const [header, row] = readFileSync(await file.path(), "utf8").split("\r\n");
  const exported = (column) => row.split(",")[header.split(",").indexOf(column)];
  assert.deepEqual(["processes", "cpu", "memory", "read", "write"].map(exported), [
    "3",
    "≥12",
    "3000000",
    "≥2048",
    "≥0",
  ]);
  await page.getByRole("button", { name: "Show as list" }).click();
  await table.locator('tr[data-pid="2"]').waitFor();
  assert.equal((await cells(2))[3], "–");
  // The first snapshot after the gap has nothing to compare with.
  await page.goto(`${site.url}/machines/resumed?at=${at(0)}`);
  await reason.getByText("3 of 3 processes. There is no snapshot shortly before this one").waitFor();
});

test("unknown memory has not changed, and a process that used no CPU has 0 ms", async () => {
  const nomem = (memory_usage) => ({ ...init, pid: 2, ppid: 1, name: "nomem", memory_usage });
  const grower = (memory_usage) => ({ ...init, pid: 3, ppid: 1, name: "grower", memory_usage });
  await post(site, "memory", [
    { timestamp: at(0), interval_ms: 60_000, machine_snapshot: {}, processes: [init, nomem(undefined), grower(1e6)] },
    { timestamp: at(60), interval_ms: 60_000, machine_snapshot: {}, processes: [init, nomem(2e9), grower(3e6)] },
  ]);
  await page.goto(`${site.url}/machines/memory/diff?from=${at(0)}&to=${at(60)}`);
  const grew = page.getByRole("region", { name: "Grew", exact: true });
  await grew.getByText("0 ms").waitFor();
  assert.deepEqual(await grew.locator("tbody tr").evaluateAll((rows) => rows.map((row) => row.dataset.pid)), ["3"]);
});

test("a comparison without a known change says what is unknown", async () => {
  const big = (memory_usage) => ({ ...init, pid: 2, ppid: 1, name: "big", memory_usage });
  await post(site, "unclear", [
    { timestamp: at(0), interval_ms: 60_000, machine_snapshot: {}, processes: [init, big(undefined)] },
    { timestamp: at(60), interval_ms: 60_000, machine_snapshot: {}, processes: [init, big(5e9)] },
    {
      timestamp: at(120),
      interval_ms: 60_000,
      machine_snapshot: { unseen_processes: 5000, dropped_snapshots: 3 },
      processes: [init, big(5e9)],
    },
    { timestamp: at(180), interval_ms: 60_000, machine_snapshot: {}, processes: [init, big(5e9)] },
  ]);
  const compare = (from, to) => page.goto(`${site.url}/machines/unclear/diff?from=${at(from)}&to=${at(to)}`);
  const verdict = page.getByText("No process started, ended or changed.", { exact: true });
  const notice = page.locator(".notice", { hasText: "Some differences are unknown." });

  await compare(0, 60);
  await notice.waitFor();
  assert.deepEqual(await notice.locator("li").allInnerTexts(), [
    "The memory usage of 1 process is unknown at one of the two times or at both.",
  ]);
  assert.equal(await verdict.count(), 0);

  await compare(60, 120);
  await notice.getByText("Up to").waitFor();
  assert.deepEqual(await notice.locator("li").allInnerTexts(), [
    "Up to 5,000 short-lived processes or threads were not recorded in between.",
    "3 snapshots in between did not reach the server.",
  ]);
  await notice.getByText("No process is known to have started, ended or changed.").waitFor();
  assert.equal(await verdict.count(), 0);

  await compare(120, 180);
  await verdict.waitFor();
  assert.equal(await notice.count(), 0);
});

test("a comparison lists processes that called exec, and those that only used CPU or did I/O", async () => {
  const one = (pid, name, cpu_ms = 0, write_bytes = 0) => {
    const idle = { memory_usage: 5e6, threads: 1, read_bytes: 0 };
    return { ...init, ...idle, pid, ppid: 1, name, command_line: `${name} --all`, cpu_ms, write_bytes };
  };
  const snapshot = (second, processes) => ({
    timestamp: at(second),
    interval_ms: 60_000,
    machine_snapshot: {},
    processes: [{ ...init, read_bytes: 0, write_bytes: 0 }, ...processes],
  });
  await post(site, "exec", [
    snapshot(0, [one(2, "sh"), one(3, "sum"), one(4, "log")]),
    snapshot(60, [one(2, "job"), one(3, "sum"), one(4, "log")]),
    snapshot(120, [one(2, "job"), one(3, "sum", 2.534), one(4, "log", 0, 4096)]),
    snapshot(180, [one(2, "job"), one(3, "sum"), one(4, "log")]),
  ]);
  const compare = (from, to) => page.goto(`${site.url}/machines/exec/diff?from=${at(from)}&to=${at(to)}`);
  const rowsOf = (title) => page.getByRole("region", { name: title, exact: true }).locator("tbody tr").allInnerTexts();
  const used = "Ran at both times and used CPU or I/O";
  const words = (rows) => rows.map((row) => row.split(/\s+/).join(" "));
  const unchanged = page.getByText("No process started, ended or changed.", { exact: true });

  await compare(0, 60);
  await page.getByRole("region", { name: "Changed", exact: true }).waitFor();
  assert.deepEqual(words(await rowsOf("Changed")), ["job job --all 2 Name sh → job Command line sh --all → job --all"]);
  assert.equal(await unchanged.count(), 0);

  await compare(60, 120);
  await unchanged.waitFor();
  await page.getByText("2 processes used CPU or I/O.").waitFor();
  assert.deepEqual(words(await rowsOf(used)), ["sum sum --all 3 2.53 ms 0 B 0 B", "log log --all 4 0 ms 0 B 4.0 KiB"]);

  await compare(120, 180);
  await page.getByText("No use of CPU or I/O was recorded.").waitFor();
  assert.deepEqual(await rowsOf(used), []);
});

test("a comparison can be exported once all of it has loaded", async () => {
  const passing = (pid) => ({ ...init, pid, ppid: 1, name: "passing", state: "X", cpu_ms: 70 });
  const snapshot = (minute, processes) => ({
    timestamp: at(60 * minute),
    interval_ms: 60_000,
    machine_snapshot: total,
    processes: [init, ...processes],
  });
  await post(site, "export", [
    snapshot(0, []),
    snapshot(1, [passing(31)]),
    snapshot(2, []),
    snapshot(3, [passing(32), passing(33)]),
  ]);
  const held = [];
  const isComparison = (url) => url.pathname === "/api/v1/machines/export/diff";
  await page.route(isComparison, (route) => void held.push(route));
  const button = page.getByRole("button", { name: "Export CSV" });
  /** Waits for a comparison and exports it. Returns the pids of the processes that came and went. */
  const exported = async () => {
    await until("the comparison", () => held.length > 0);
    await page.getByRole("region", { name: "After" }).getByText("1 processes").waitFor();
    assert.equal(await button.isDisabled(), true);
    await held.pop().continue();
    await page.locator("button:enabled", { hasText: "Export CSV" }).waitFor();
    const [file] = await Promise.all([page.waitForEvent("download"), button.click()]);
    const rows = readFileSync(await file.path(), "utf8").split("\r\n");
    return rows.filter((row) => row.startsWith("passed,")).map((row) => Number(row.split(",")[1]));
  };
  await page.goto(`${site.url}/machines/export/diff?from=${at(0)}&to=${at(120)}`);
  assert.deepEqual(await exported(), [31]);
  // While another time loads, the page shows the previous comparison.
  await page.getByRole("region", { name: "After" }).getByRole("button", { name: "+1 min" }).click();
  assert.deepEqual((await exported()).sort(), [31, 32, 33]);
  await page.unroute(isComparison);
});

test("a comparison says whose use of CPU and I/O is unknown", async () => {
  const one = (pid, values) => ({ ...init, pid, ppid: 1, name: `p${pid}`, ...values });
  const known = { cpu_ms: 0, read_bytes: 0, write_bytes: 0 };
  const unknown = { cpu_ms: undefined };
  const list = (cpu_ms) => [one(1, known), one(2, { ...known, cpu_ms }), one(3, unknown), one(4, unknown)];
  const snapshot = (second, processes) => ({
    timestamp: at(second),
    interval_ms: 60_000,
    machine_snapshot: {},
    processes,
  });
  await post(site, "unmeasured", [snapshot(0, list(0)), snapshot(60, list(0)), snapshot(120, list(40))]);
  const section = page.getByRole("region", { name: "Ran at both times and used CPU or I/O", exact: true });
  const unchanged = page.getByText("No process started, ended or changed.", { exact: true });
  const note = section.getByText("CPU time and I/O are unknown for 2 processes.");

  await page.goto(`${site.url}/machines/unmeasured/diff?from=${at(0)}&to=${at(60)}`);
  await unchanged.waitFor();
  await note.waitFor();
  assert.equal(await page.getByText("No use of CPU or I/O was recorded.").count(), 0);
  assert.equal(await section.locator("tbody").count(), 0);

  await page.goto(`${site.url}/machines/unmeasured/diff?from=${at(60)}&to=${at(120)}`);
  await page.getByText("One process used CPU or I/O.").waitFor();
  await note.waitFor();
  assert.equal(await section.locator("tbody tr").count(), 1);
});

test("a long command line does not displace the one before it", async () => {
  const job = (command_line) => ({ ...init, pid: 2, ppid: 1, name: "java", command_line, memory_usage: 5e6 });
  const [before, after] = ["java -jar before.jar", `java -cp ${"/opt/app/lib/some.jar:".repeat(200)} Main`];
  await post(site, "long", [
    { timestamp: at(0), interval_ms: 60_000, machine_snapshot: {}, processes: [init, job(before)] },
    { timestamp: at(60), interval_ms: 60_000, machine_snapshot: {}, processes: [init, job(after)] },
    { timestamp: at(120), interval_ms: 60_000, machine_snapshot: {}, processes: [init, job(before)] },
  ]);
  const viewport = page.viewportSize();
  for (const width of [viewport.width, 390]) {
    await page.setViewportSize({ width, height: viewport.height });
    for (const [from, to] of [
      [0, 60],
      [60, 120],
    ]) {
      await page.goto(`${site.url}/machines/long/diff?from=${at(from)}&to=${at(to)}`);
      const changed = page.getByRole("region", { name: "Changed", exact: true });
      for (const text of [before, after]) {
        const part = changed.locator(`td [title="${text}"]`);
        await part.scrollIntoViewIfNeeded();
        const box = await part.boundingBox();
        assert.ok(box.width >= 100 && box.x >= 0 && box.x + box.width <= width, `${text.slice(0, 20)} at ${width} px`);
        await part.click(); // shows all of it
        assert.ok(await part.evaluate((element) => element.scrollWidth <= element.clientWidth));
      }
      await assertAccessible(page, `changed processes at ${width} px`);
    }
  }
  await page.setViewportSize(viewport);
});

/** The start of the current minute, in milliseconds. */
const thisMinute = Math.floor(begin / 60_000) * 60_000 + 900_000;
/** Posts a snapshot of the current minute and of each of the minutes before it. */
const postMinutes = (id, count, snapshotAt) =>
  post(
    site,
    id,
    Array.from({ length: count }, (_, i) => thisMinute - (count - 1 - i) * 60_000).map((ms) => ({
      timestamp: iso(ms),
      interval_ms: 60_000,
      ...snapshotAt(ms),
    })),
  );
/** Returns the description of a chart, once it has data. */
const chartText = async (title) => {
  const chart = page.getByRole("figure", { name: title, exact: true }).getByRole("img");
  await page.waitForFunction((element) => element.ariaLabel !== "Loading", await chart.elementHandle());
  return chart.getAttribute("aria-label");
};

test("CPU that is not accounted for does not depend on how many small processes there are", async () => {
  await register(site, "sleepers", { cpu_count: 4 });
  const sleepers = Array.from({ length: 3813 }, (_, i) => ({ ...init, pid: 1000 + i, ppid: 1, cpu_ms: 10 }));
  await postMinutes("sleepers", 2, () => ({
    machine_snapshot: { ...total, cpu_usage: 50 },
    processes: [init, ...sleepers],
  }));
  await page.goto(`${site.url}/machines/sleepers?at=${iso(thisMinute)}`);
  // 3,813 × 10 ms in 60 s are 63.55 %, and four cores at 50 % are 200 %.
  await page
    .getByTestId("unlisted-cpu")
    .getByText(/136\.[45] % CPU/)
    .waitFor();
  assert.equal(await chartText("Disk"), "No data"); // unknown is not 0 B
});

test("the number of processes at once is not rounded up if they are short", async () => {
  const flash = (ms) => ({ ...init, pid: 5000 + ((ms / 60_000) % 1000), ppid: 1, name: "flash", state: "X" });
  await postMinutes("short", 30, (ms) => ({
    machine_snapshot: {},
    processes: [init, { ...flash(ms), started_at: iso(ms - 3000), cpu_ms: 1000 }],
  }));
  await page.goto(`${site.url}/processes/flash?from=${iso(thisMinute - 20 * 60_000)}&to=${iso(thisMinute)}`);
  assert.equal(await chartText("Processes"), "at once, average: latest 0.05, at most 0.05");
});

test("the sums of a name say that they leave out unknown CPU and I/O", async () => {
  const series = (values) =>
    Array.from({ length: 5 }, (_, minute) => ({
      timestamp: at(60 * minute),
      interval_ms: 60_000,
      machine_snapshot: total,
      processes: [init, { ...init, pid: 2, ppid: 1, name: "halfknown", ...values }],
    }));
  await register(site, "known");
  await post(site, "known", series({ cpu_ms: 60_000, read_bytes: 0, write_bytes: 0 }));
  await register(site, "unreadable");
  await post(site, "unreadable", series({ cpu_ms: undefined }));
  await page.goto(`${site.url}/processes/halfknown?from=${at(0)}&to=${at(240)}`);
  const notice = page.getByText("The usage of some processes is unknown.");
  await notice.waitFor();
  assert.deepEqual(
    (await page.locator(".notice li").allInnerTexts()).map((text) => text.split(" between")[0]),
    ["CPU of 1 process", "I/O of 1 process"],
  );
  const figure = page.getByRole("figure", { name: "CPU, sum of all processes", exact: true });
  const label = await figure.getByRole("img").getAttribute("aria-label");
  assert.equal(label, "of one core: latest ≥\u00a0100.0 %, maximum ≥\u00a0100.0 %");
  await figure.getByRole("button", { name: /^Export/ }).click();
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByText("Table (CSV)").click()]);
  const [header, row] = readFileSync(await file.path(), "utf8").split("\r\n");
  assert.equal(header, "time,of one core,unknown processes");
  assert.match(row, /,100,1$/);
  await assertAccessible(page, "the page of a name with unknown usage");
});

test("the page of a name lists the time in which the only machine that ran it was away", async () => {
  const hour = Math.floor(Date.now() / 3_600_000) * 3_600_000 - 4 * 3_600_000;
  const minutes = (runs, isAway = () => false) =>
    Array.from({ length: 120 }, (_, minute) => minute)
      .filter((minute) => !isAway(minute))
      .map((minute) => ({
        timestamp: iso(hour + minute * 60_000 + 30_000),
        interval_ms: 60_000,
        machine_snapshot: total,
        processes: [init, ...(runs(minute) ? [{ ...init, pid: 2, ppid: 1, name: "travels" }] : [])],
      }));
  await register(site, "until-five-past");
  await post(
    site,
    "until-five-past",
    minutes((minute) => minute < 5),
  );
  await register(site, "away");
  await post(
    site,
    "away",
    minutes(
      () => true,
      (minute) => minute >= 20 && minute < 61,
    ),
  );
  await page.goto(`${site.url}/processes/travels?from=${iso(hour)}&to=${iso(hour + 90 * 60_000)}`);
  const items = page.locator(".notice li").filter({ hasText: "machines were measured" });
  await items.first().waitFor();
  const first = await items.first().innerText();
  const time = await page.evaluate(
    (ms) => new Date(ms).toLocaleTimeString([], { timeStyle: "short" }),
    hour + 1_200_000,
  );
  assert.ok(first.includes(time) && first.endsWith("1 of 2 machines were measured"), `${first}: away from ${time}`);
  await page.goto(`${site.url}/processes/travels?from=${iso(hour)}&to=${iso(hour + 3 * 3_600_000)}`);
  await items.first().waitFor();
});

test("the charts of the last hour have no data of a machine that is silent for longer", async () => {
  const snapshot = { machine_snapshot: { ...total, cpu_usage: 42 }, processes: [init] };
  await post(site, "quiet", [{ timestamp: iso(begin - 7_200_000), interval_ms: 60_000, ...snapshot }]);
  await page.goto(`${site.url}/machines/quiet`);
  await page.getByText("No current data.").waitFor();
  assert.equal(await chartText("CPU"), "No data");
});

test("a machine that has not sent a snapshot is not up, and old values are not shown as current", async () => {
  const row = (name) => page.locator("table.fleet tbody tr", { hasText: name });
  await register(site, "new");
  const old = { ...total, cpu_usage: 42, load1: 7.25, uptime_ms: 86_400_000 };
  await post(site, "old", [{ timestamp: iso(Date.now() - 7_200_000), machine_snapshot: old, processes: [init] }]);
  const report = setInterval(() => void post(site, "old", []), 1000); // heartbeats: the agent itself is up
  try {
    await page.goto(site.url);
    await row("new").getByRole("img", { name: "waiting", exact: true }).waitFor();
    await row("old").getByRole("img", { name: "up", exact: true }).waitFor();
    const text = await row("old").innerText();
    assert.doesNotMatch(text, /42|7\.25|1 d/);
    await page.goto(`${site.url}/machines/old`);
    await page.getByText("The last snapshot is old.").waitFor();
    await page.getByText("Outdated", { exact: true }).waitFor();
    await page.getByText("No current data.").waitFor();
    assert.equal(await page.getByText("up 1 d").count(), 0);
    assert.doesNotMatch(await page.locator(".charts").innerText(), /42|7\.25/);
    assert.equal(await page.getByTestId("unlisted-cpu").count(), 0);
  } finally {
    clearInterval(report);
  }
});

test("a silent machine that never sent a snapshot is not connected", async () => {
  await register(site, "never");
  await post(site, "never", []);
  await page.goto(`${site.url}/machines/never`);
  await page.getByText("It has not sent a snapshot.").waitFor();
  await page.getByText("Silent", { exact: true }).waitFor();
  assert.equal(await page.getByText("Showing the last").count(), 0);
});

test("the end of a range in the future is not now", async () => {
  const end = begin + 7_200_000;
  await page.goto(`${site.url}/machines/brief?from=${iso(begin)}&to=${iso(end)}`);
  const times = page.locator(".scrubber-ends time");
  await times.last().waitFor();
  assert.equal(await times.last().getAttribute("datetime"), iso(end));
  assert.notEqual(await times.last().innerText(), "now");
  // In the live view, the slider is at the present, not at the end.
  const value = Number(await page.getByRole("slider", { name: "Time" }).inputValue());
  assert.ok(Math.abs(value - Date.now()) < 60_000, `the slider is at ${iso(value)}`);
  await page.goto(`${site.url}/machines/brief`);
  await page.locator(".scrubber-ends").getByText("now", { exact: true }).waitFor();
});

test("storage has no forecast from less than a day of data", async () => {
  await page.goto(`${site.url}/admin?tab=storage`);
  await page.getByText("not enough data for a forecast").waitFor();
  await page.getByText("profile postgres, nothing is compressed").waitFor();
  await page.getByText(/of about [1-9][\d,]* process identities/).waitFor();
  await post(site, "yesterday", [{ timestamp: iso(begin - 90_000_000), processes: [init] }]);
  await page.reload();
  const oldest = page.locator(`dl.tiles time[datetime="${iso(begin - 90_000_000)}"]`);
  await oldest.waitFor();
  await page.getByText("not enough data for a forecast").waitFor(); // an old snapshot is not a day of data
  const hours = Array.from({ length: 24 }, (_, i) => begin - 90_000_000 + 60_000 + i * 3_600_000);
  await post(
    site,
    "yesterday",
    hours.map((hour) => ({ timestamp: iso(hour), processes: [init] })),
  );
  await page.reload();
  await page.getByText(/ samples in the last 24 hours$/).waitFor();
  assert.match(await page.locator("dl.tiles").innerText(), /Growth per day\s+[\d.]+ [KM]?i?B/i);
});

test("a pid without a start time is the newest process with this pid", async () => {
  const life = (started, name) => ({ ...init, pid: 77, ppid: 1, started_at: at(started), name, command_line: name });
  await post(site, "reused", [{ timestamp: at(100), processes: [init, life(90, "later-life")] }]);
  await post(site, "reused", [{ timestamp: at(50), processes: [init, life(40, "early-life")] }]); // arrives last
  await page.goto(`${site.url}/machines/reused/processes/77`);
  await page.getByRole("heading", { name: "later-life 77" }).waitFor();
  assert.equal(await page.getByText("early-life").count(), 0);
});

test("there were no errors on the pages", () => assert.deepEqual(errors, []));
