// What the pages say about numbers: what a list or a sum leaves out, and what is not known. The machines are simulated.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { collectErrors, newContext, setUp, startBrowser, startServer } from "./harness.mjs";
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
  collectErrors(page, errors, /WebSocket|ERR_CONNECTION|40[14]/);
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
        ended(12, 400),
        ended(13, 580),
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
  // The live view has the same line.
  await page.goto(`${site.url}/machines/brief`);
  await line.getByText("none").waitFor();
  await line.getByText("2.0 % CPU").waitFor();
  assert.equal(await line.innerText(), "Ended in this interval: none\nNot accounted for: 2.0 % CPU");
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
    await page.getByText("Connected", { exact: true }).waitFor();
    assert.equal(await page.getByText("up 1 d").count(), 0);
  } finally {
    clearInterval(report);
  }
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
  await page.getByText(/of about [1-9]\d* process identities/).waitFor();
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
