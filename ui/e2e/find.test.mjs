// Searches: where the links of results lead, and what the page says about the searched time. The machine is simulated.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { collectErrors, newContext, setUp, startBrowser, startServer, test } from "./harness.mjs";
import { post, register } from "./simulate.mjs";

let site;
let browser;
let page;
const errors = [];
const minute = 60_000;
const hour = 60 * minute;
const iso = (ms) => new Date(ms).toISOString();

/** The time of the first snapshot. The snapshots are ten seconds apart, in the middle of an hour. */
const begin = Math.floor(Date.now() / hour) * hour - 4 * hour + 20 * minute;
const at = (index) => begin + index * 10_000;
const started_at = iso(at(19) + 5000);
const running = (pid, name) => ({ pid, started_at, ppid: 1, name, state: "S", cpu_ms: 10, memory_usage: 1e6 });

/** The processes that have ended, each with the snapshot to which its link leads. */
const links = [
  { name: "alive", pid: 89, last: 59 }, // still runs
  { name: "crunch", pid: 90, last: 22 }, // ends with a last sample
  { name: "quiet", pid: 91, last: 29 }, // ends without one, long after its last use of CPU
  { name: "absent", pid: 92, last: 35 }, // ends in a gap
];

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer({ agent: false })]);
  const options = { viewport: { width: 1400, height: 1000 }, locale: "en-GB", timezoneId: "UTC" };
  page = await (await newContext(browser, options)).newPage();
  collectErrors(page, errors, /40[14]/);
  await setUp(page, site);
  await register(site, "ends");
  const init = { ...running(1, "init"), started_at: iso(begin - hour), ppid: 0 };
  const snapshots = Array.from({ length: 60 }, (_, i) => ({
    timestamp: iso(at(i)),
    kind: "changes",
    previous: iso(at(i - 1)),
    interval_ms: 10_000,
    machine_snapshot: {},
    processes: [],
  }));
  const full = { kind: "full", previous: undefined };
  Object.assign(snapshots[0], { ...full, processes: [init] });
  snapshots[20].processes = [running(90, "crunch"), running(91, "quiet"), running(92, "absent")];
  snapshots[21].processes = [running(90, "crunch")];
  snapshots[23].processes = [
    { ...running(90, "crunch"), state: "X" },
    { ...running(93, "brief"), state: "X" },
  ];
  snapshots[30].exited = [{ pid: 91, started_at }];
  Object.assign(snapshots[40], { ...full, interval_ms: undefined, processes: [init, running(89, "alive")] });
  await post(
    site,
    "ends",
    snapshots.filter((_, i) => i <= 35 || i >= 40),
  );
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

const search = (text) => page.goto(`${site.url}/find?q=${encodeURIComponent(text)}`);
const shown = () => page.getByTestId("instant").getAttribute("data-timestamp");

for (const [range, from, to] of [
  ["a short range", begin, begin + 30 * minute],
  ["a range of whole hours", begin - 20 * minute, begin + 160 * minute],
  ["a range that begins after the last sample with the process", at(22) + 1, begin + 30 * minute],
]) {
  test(`a result of a search in ${range} leads to the last snapshot with the process`, async () => {
    for (const { name, pid, last } of links) {
      await search(`${name} from ${iso(from)} to ${iso(to)}`);
      await page.locator(`li[data-pid="${pid}"] a`).click();
      await page.locator(`table.processes tr[data-pid="${pid}"]`).waitFor();
      const listed = await shown();
      if (name === "alive") assert.ok(Date.parse(listed) >= at(40), listed);
      else assert.equal(listed, iso(at(last)), name);
      await page.goBack();
      await page.locator(`li[data-pid="${pid}"] a`).waitFor(); // the result again, not the link
    }
  });
}

test("a result that ran between two snapshots leads to the one that counts it", async () => {
  await search(`brief from ${iso(begin)} to ${iso(begin + 30 * minute)}`);
  await page.locator('li[data-pid="93"] a').click();
  await page.getByTestId("unlisted-cpu").getByText("2 processes").waitFor();
  assert.equal(await shown(), iso(at(23)));
});

test("the results of a name's page lead to the last snapshot with the process", async () => {
  await page.goto(`${site.url}/processes/crunch?from=${iso(begin)}&to=${iso(begin + 30 * minute)}`);
  await page.locator('li[data-pid="90"] a').click();
  await page.locator('table.processes tr[data-pid="90"]').waitFor();
  assert.equal(await shown(), iso(at(22)));
});

test("a time that no date can have is text", async () => {
  for (const text of ["crunch 9999999999 h ago", "crunch last 99999999999 days"]) {
    await search(text);
    await page.getByText("No matching processes at this time.").waitFor();
    assert.equal(await page.locator('[data-testid="search"] strong').innerText(), text);
  }
});

test("a time that is not understood is searched as text, and the page says so", async () => {
  const notice = page.getByText(/^“.*” is searched as text\.$/);
  for (const [text, words] of [
    ["crunch last night", "last night"],
    ["crunch nov 31 15:49", "nov 31"],
    ["crunch before 15:49", "before"],
  ]) {
    await search(text);
    await page.getByText(`“${words}” is searched as text.`).waitFor();
  }
  const dayBefore = new Date(at(22) - 24 * hour).toLocaleDateString("en-US", {
    month: "short",
    day: "numeric",
    timeZone: "UTC",
  });
  await search(`crunch ${dayBefore} at noon`);
  await page.getByText("No matching processes at this time.").waitFor();
  assert.equal(await notice.count(), 0);
  assert.equal(await page.locator('[data-testid="search"] strong').innerText(), "crunch");
});

test("a range that ends now is not extended to whole hours", async () => {
  const note = page.getByText("The search covers whole hours");
  await search(`crunch from ${iso(begin - 20 * minute)} to now`);
  await page.locator('li[data-pid="90"]').waitFor();
  assert.equal(await note.count(), 0);
  await search(`crunch from ${iso(begin)} to now`);
  await note.waitFor();
});

test("a range in the future has no verdict", async () => {
  const [from, to] = [iso(Date.now() + hour), iso(Date.now() + 2 * hour)];
  const verdict = page.getByText(/did not run|No matching processes/);
  await page.goto(`${site.url}/machines/ends/processes/90?from=${from}&to=${to}`);
  await page.getByText("This time range is in the future.").waitFor();
  assert.equal(await verdict.count(), 0);
  await search(`crunch from ${from} to ${to}`);
  await page.getByText("This time is in the future.").waitFor();
  assert.equal(await verdict.count(), 0);
});

test("there were no errors on the pages", () => assert.deepEqual(errors, []));
