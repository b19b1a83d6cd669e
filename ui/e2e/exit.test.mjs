// How processes ended: on the page of a process, in a comparison, and as a filter of searches.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { assertAccessible, assertFits } from "./axe.mjs";
import { collectErrors, newContext, setUp, startBrowser, startServer, test } from "./harness.mjs";
import { post, register } from "./simulate.mjs";

let site;
let browser;
let page;
const errors = [];
const iso = (ms) => new Date(ms).toISOString();
const begin = Date.now() - 600_000;
const at = (index) => iso(begin + index * 10_000);
const started_at = iso(begin - 60_000);
const running = (pid, name) => ({
  pid,
  started_at,
  ppid: 1,
  name,
  command_line: `/usr/bin/${name} --config /etc/${name}.conf`,
  user: "root",
  state: "S",
  cpu_ms: 10,
  memory_usage: 1e6,
  threads: 1,
});
const ended = (pid, status) => ({ pid, started_at, state: "X", cpu_ms: 5, ...status });

/** The processes that end, with how the pages say that. */
const processes = [
  { pid: 10, name: "backup", status: { exit_code: 1 }, text: "exit code 1" },
  { pid: 11, name: "worker", status: { exit_signal: 9 }, text: "signal 9 (SIGKILL)" },
  { pid: 12, name: "cleanup", status: { exit_code: 0 }, text: "exit code 0" },
  { pid: 13, name: "legacy", status: {}, text: undefined },
];

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer({ agent: false })]);
  const options = { viewport: { width: 1400, height: 900 }, locale: "en-GB", timezoneId: "UTC" };
  page = await (await newContext(browser, options)).newPage();
  collectErrors(page, errors, /40[14]/);
  await setUp(page, site);
  await register(site, "ends");
  const snapshot = (index, fields) => ({
    timestamp: at(index),
    kind: "changes",
    interval_ms: 10_000,
    machine_snapshot: {},
    ...(index > 0 && { previous: at(index - 1) }),
    ...fields,
  });
  const list = [running(1, "init"), ...processes.map(({ pid, name }) => running(pid, name))];
  const short = { ...running(14, "short"), started_at: iso(begin + 15_000), state: "X", exit_code: 127 };
  await post(site, "ends", [
    snapshot(0, { kind: "full", processes: list }),
    snapshot(1, { processes: [] }),
    snapshot(2, { processes: [...processes.map(({ pid, status }) => ended(pid, status)), short] }),
    snapshot(3, { processes: [] }),
  ]);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

/** Checks a page at both widths, and takes a picture if SCREENSHOTS is a folder. */
async function check(what) {
  for (const [name, width] of [
    ["screen", 1400],
    ["phone", 390],
  ]) {
    await page.setViewportSize({ width, height: 900 });
    await assertFits(page, `${what}, ${name}`);
    await assertAccessible(page, `${what}, ${name}`);
    const folder = process.env.SCREENSHOTS;
    if (folder) await page.screenshot({ path: `${folder}/${what.replaceAll(" ", "-")}-${name}.png` });
  }
  await page.setViewportSize({ width: 1400, height: 900 });
}

test("the page of a process says how it ended", async () => {
  for (const { pid, text } of processes) {
    await page.goto(`${site.url}/machines/ends/processes/${pid}`);
    const end = page.getByTestId("end");
    await end.waitFor();
    const expected = text === undefined ? /^Ended \d/ : new RegExp(`^Ended: ${text.replace(/[()]/g, "\\$&")} · \\d`);
    assert.match((await end.textContent()).trim(), expected);
    if (pid === 11) await check("process page");
  }
  await page.goto(`${site.url}/machines/ends/processes/1`);
  await page.getByRole("heading", { name: "init 1" }).waitFor();
  assert.equal(await page.getByTestId("end").count(), 0, "a process that runs has not ended");
});

test("a comparison says how processes ended", async () => {
  await page.goto(`${site.url}/machines/ends/diff?from=${at(0)}&to=${at(3)}`);
  const section = (name) => page.getByRole("region", { name, exact: true });
  await section("Started and ended in between").getByRole("cell", { name: "exit code 127" }).waitFor();
  for (const { pid, text } of processes) {
    const cell = section("Ended").locator(`tr[data-pid="${pid}"] td`).last();
    assert.equal(await cell.textContent(), text ?? "–");
  }
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Export CSV" }).click(),
  ]);
  const lines = readFileSync(await file.path(), "utf8")
    .trim()
    .split(/\r?\n/);
  const exits = new Map(lines.map((line) => [line.split(",")[2], line.split(",").slice(-2).join()]));
  assert.equal(exits.get("name"), "exit_code,exit_signal");
  assert.deepEqual(
    ["backup", "worker", "cleanup", "legacy", "short"].map((name) => exits.get(name)),
    ["1,", ",9", "0,", ",", "127,"],
  );
  await check("comparison");
});

/** Waits for search results, and returns their pids. */
async function found() {
  await page.locator(".match").waitFor();
  const rows = await page.locator(".match li[data-pid]").all();
  return Promise.all(rows.map(async (row) => Number(await row.getAttribute("data-pid"))));
}

test("a search is filtered by how processes ended, and the filter is part of the address", async () => {
  await page.goto(`${site.url}/find?q=${encodeURIComponent(`/usr/bin from ${at(0)} to ${at(3)}`)}`);
  await page.getByText("6 processes").waitFor();
  const filter = page.getByLabel("Exit status");
  await filter.selectOption({ label: "Failed: other exit codes and signals" });
  await page.locator('li[data-pid="12"]').waitFor({ state: "detached" });
  assert.deepEqual((await found()).sort(), [10, 11, 14]);
  assert.match(await page.locator('li[data-pid="11"]').textContent(), /Ended: signal 9 \(SIGKILL\)/);
  assert.equal(new URL(page.url()).searchParams.get("exit"), "failed");
  await check("search");
  await page.reload();
  assert.deepEqual((await found()).sort(), [10, 11, 14]);
  // A new text keeps the filter.
  await page.getByRole("searchbox", { name: "Find processes" }).fill("worker");
  await page.keyboard.press("Enter");
  await page.locator('li[data-pid="10"]').waitFor({ state: "detached" });
  assert.deepEqual(await found(), [11]);
  await filter.selectOption({ label: "Any, or still running" });
  await page.waitForURL((url) => !url.searchParams.has("exit"));
});

test("a filter needs no text, and an address can have any status", async () => {
  await page.goto(`${site.url}/find`);
  await page.getByText("Find a process on any machine, at any time.").waitFor();
  await page.getByLabel("Exit status").selectOption("signal");
  assert.deepEqual(await found(), [11]);
  await page.goto(`${site.url}/find?exit=signal:KILL`);
  assert.deepEqual(await found(), [11]);
  await page.goto(`${site.url}/find?exit=code:127`);
  assert.deepEqual(await found(), [14]);
  await page.goto(`${site.url}/find?exit=code:42`);
  await page.getByText("No matching processes at this time.").waitFor();
  assert.equal(await page.getByLabel("Exit status").locator("option:checked").textContent(), "Exit code 42");
});

test("no page had an error", () => assert.deepEqual(errors, []));
