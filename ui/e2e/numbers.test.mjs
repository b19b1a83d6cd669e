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
  assert.equal(await line.innerText(), "Ended in this interval: 2 processes, 98.0 % CPU\nNot accounted for: 3.0 % CPU");
  await line.getByRole("link").click();
  const list = page.getByRole("region", { name: "Started and ended in between", exact: true });
  await list.getByText("580 ms").waitFor();
  assert.equal(await list.locator("tbody tr").count(), 2);
  // The live view has the same line.
  await page.goto(`${site.url}/machines/brief`);
  await line.getByText("none").waitFor();
  assert.equal(await line.innerText(), "Ended in this interval: none\nNot accounted for: 2.0 % CPU");
});

test("there were no errors on the pages", () => assert.deepEqual(errors, []));
