// The past of this machine: the time slider, links, a process, searches, comparisons and charts.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import {
  api,
  collectErrors,
  localMachine,
  newContext,
  parentName,
  patchMachine,
  setUp,
  startBrowser,
  startFamily,
  startServer,
  test,
  until,
} from "./harness.mjs";
import { Machine, post, register } from "./simulate.mjs";

let site;
let browser;
let page;
let machineId;
const errors = [];

/**
 * A process with a child that both have exited: their pids, and instants in milliseconds. They did not run
 * at `before`, and ran from `from` to `to`.
 */
const family = {};

const iso = (ms) => new Date(ms).toISOString();
const row = (pid) => page.locator(`table.processes tr[data-pid="${pid}"]`);
const instant = (target = page) => target.getByTestId("instant").getAttribute("data-timestamp");
const middle = () => (family.from + family.to) / 2;
const machineUrl = () => `${site.url}/machines/${machineId}`;
const pidsOf = (rows) => rows.evaluateAll((rows) => rows.map((r) => Number(r.dataset.pid)));

async function prepareFamily() {
  const snapshots = async (from) => {
    const { results } = await api(site, `/api/v1/machines/${machineId}/snapshots?limit=1000&from=${iso(from)}`);
    return results;
  };
  const isRunning = async () =>
    (await api(site, `/api/v1/processes?text=sleep%204323&time=${iso(Date.now())}`)).results.length > 0;
  family.before = Date.now();
  await until("a snapshot before", async () => (await snapshots(family.before - 10_000)).length > 0);
  const { parent, child, end } = await startFamily(site, 4323);
  await until("the child to be stored", isRunning);
  family.from = Date.now();
  await until("seven snapshots with the child", async () => (await snapshots(family.from)).length > 6);
  family.to = Date.now();
  await end();
  await until("the child to be gone", async () => !(await isRunning()));
  Object.assign(family, { parent, child });
}

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer()]);
  const context = await newContext(browser, { viewport: { width: 1400, height: 1000 } });
  page = await context.newPage();
  collectErrors(page, errors, /WebSocket|ERR_CONNECTION|40[14]|503/);
  await setUp(page, site);
  machineId = await localMachine(site);
  await patchMachine(site, machineId, { polling_interval: 0.5 });
  await prepareFamily();
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

test("the time slider leads to a child process under its parent", async () => {
  await page.goto(machineUrl());
  await row(1).waitFor();
  assert.equal(await row(family.child).count(), 0, "the child has exited");
  // In a window of an hour, a pixel is several seconds. Select a shorter one, as by dragging over a chart.
  await page.goto(`${machineUrl()}?from=${iso(family.before - 5000)}&to=${iso(family.to + 5000)}`);
  await row(1).waitFor();
  const slider = page.getByRole("slider", { name: "Time" });
  const { x, y, width, height } = await slider.boundingBox();
  const [from, to] = await slider.evaluate((input) => [Number(input.min), Number(input.max)]);
  const position = x + 8 + ((middle() - from) / (to - from)) * (width - 16);
  await page.mouse.move(x + width - 8, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(position, y + height / 2, { steps: 5 });
  await page.mouse.up();
  await page.getByText("Past", { exact: true }).waitFor();
  await page.waitForURL(/at=/);
  await until("an instant at which the child ran", async () => {
    const at = Date.parse(await instant());
    return at > family.before && at <= family.to;
  });
  await page.getByLabel("Filter processes").fill("sleep 4323");
  await row(family.child).waitFor();
  assert.equal(await row(family.child).getAttribute("data-ppid"), String(family.parent));
  const level = async (pid) => Number(await row(pid).getAttribute("aria-level"));
  assert.equal(await level(family.child), (await level(family.parent)) + 1, "one level below its parent");
  const pids = await pidsOf(page.locator("table.processes tr[data-pid]"));
  assert.equal(pids.indexOf(family.child), pids.indexOf(family.parent) + 1, "directly after its parent");
});

test("a link opens the same instant with the same filter", async () => {
  const url = page.url();
  const seen = await instant();
  const other = await page.context().newPage();
  await other.goto(url);
  await other.locator(`tr[data-pid="${family.child}"]`).waitFor();
  assert.equal(await instant(other), seen);
  assert.equal(await other.getByLabel("Filter processes").inputValue(), "sleep 4323");
  // Times are in the time zone of the user, with UTC in the title.
  const title = await other.getByTestId("instant").locator("time").getAttribute("title");
  assert.equal(title, seen.replace("T", " ").replace("Z", " UTC"));
  await other.close();
});

test("the page of a process shows its history, parents and children", async () => {
  await row(family.child).getByRole("link", { name: "sleep" }).click();
  await page.getByRole("heading", { name: `sleep ${family.child}` }).waitFor();
  const relation = (name) => page.locator(`.relatives tr[data-relation="${name}"]`);
  await relation("self").waitFor();
  const parents = await pidsOf(relation("parent"));
  assert.equal(parents.at(-1), family.parent);
  assert.equal(parents[0], 1, "the first ancestor is process 1");
  await page.getByTestId("end").waitFor();
  await page.getByRole("img", { name: /peak: latest .*, at most [\d.]+ [KM]iB;/ }).waitFor();
  await relation("parent").last().getByRole("link").click();
  await page.getByRole("heading", { name: `${parentName} ${family.parent}` }).waitFor();
  await relation("child").first().waitFor();
  assert.deepEqual(await pidsOf(relation("child")), [family.child]);
});

test("the page of a process name lists the machines on which it ran", async () => {
  await page.getByRole("link", { name: `All ${parentName} processes on all machines` }).click();
  await page.getByRole("heading", { name: parentName, exact: true }).waitFor();
  await page.locator(`.match[data-machine="${machineId}"] li[data-pid="${family.parent}"]`).waitFor();
});

test("a search by command line and time leads to that instant", async () => {
  const search = page.getByRole("searchbox", { name: "Find processes" });
  const find = async (text) => {
    await search.fill(text);
    await search.press("Enter");
  };
  await find(`sleep 4323 ${iso(middle())}`);
  const found = page.locator(`.match[data-machine="${machineId}"] li[data-pid="${family.child}"]`);
  await found.waitFor();
  await found.getByRole("link").click();
  await row(family.child).waitFor();
  assert.equal(await row(family.child).getAttribute("data-ppid"), String(family.parent));
  // Without a time, the search covers the last day.
  await find("sleep 4323");
  await found.waitFor();
  await find("sleep 4323 now");
  await page.getByText("No matching processes at this time.").waitFor();
  assert.match(page.url(), /\/find\?q=sleep/);
});

test("a comparison shows processes that ended, started, or both", async () => {
  const compare = (from, to) => page.goto(`${machineUrl()}/diff?from=${iso(from)}&to=${iso(to)}`);
  /** Waits for the row of the child. A long list shows only its first rows until the button is clicked. */
  const findChild = async (title) => {
    const region = page.getByRole("region", { name: title, exact: true });
    const showAll = region.getByRole("button", { name: /^Show all/ });
    const row = region.locator(`tr[data-pid="${family.child}"]`);
    await showAll.or(row).first().waitFor();
    if (!(await row.isVisible())) await showAll.click();
    await row.waitFor();
    return row;
  };
  await compare(middle(), Date.now());
  assert.match(await (await findChild("Ended")).innerText(), /sleep[\s\S]*iB[\s\S]*–[\s\S]*−/);
  await compare(family.before, middle());
  await findChild("Started");
  await compare(family.before, Date.now());
  await findChild("Started and ended in between");
  await page.getByRole("button", { name: "Threads" }).click();
  await page.waitForURL(/by=threads/);
});

test("charts have ranges, zoom by dragging, select an instant by a click, and grow live", async () => {
  await page.goto(machineUrl());
  await page
    .getByRole("img", { name: /average: latest/ })
    .first()
    .waitFor();
  const before = await instant();
  await until("another live snapshot", async () => (await instant()) !== before);
  const load = page.locator(".chart", { hasText: "Load" }).getByRole("img");
  assert.match(await load.getAttribute("aria-label"), /1 min: latest \d/);
  const range = page.getByRole("group", { name: "Time range" });
  for (const [name, span, seconds, resolution] of [
    ["3 hours", "3h", 10_800, "1m"],
    ["Day", "1d", 86_400, "1m"],
    ["Week", "1w", 604_800, "1h"],
  ]) {
    const answer = page.waitForResponse((r) => r.url().includes(`/metrics?since=${seconds}s`));
    await range.getByRole("button", { name, exact: true }).click();
    assert.equal((await (await answer).json()).resolution, resolution);
    assert.match(page.url(), new RegExp(`span=${span}`));
  }
  await range.getByRole("button", { name: "Hour", exact: true }).click();
  await page.waitForURL((url) => !url.searchParams.has("span"));

  // Drag over the last tenth of the chart.
  const chart = page.locator(".chart .u-over").first();
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + box.width * 0.9, box.y + 30);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.999, box.y + 32, { steps: 6 });
  await page.mouse.up();
  await page.waitForURL(/from=.*to=/);
  const zoomed = new URL(page.url()).searchParams;
  const minutes = (Date.parse(zoomed.get("to")) - Date.parse(zoomed.get("from"))) / 60_000;
  assert.ok(minutes > 5 && minutes < 7, `${minutes} minutes`);
  assert.equal(zoomed.get("at"), null, "the end of a drag must not select an instant");

  const zoomedBox = await chart.boundingBox();
  await page.mouse.click(zoomedBox.x + zoomedBox.width * 0.98, zoomedBox.y + 30);
  await page.getByText("Past", { exact: true }).waitFor();
  assert.match(page.url(), /at=/);
  await page.goBack();
  await page.waitForURL((url) => !url.searchParams.has("at"));

  await range.getByRole("button", { name: /–/ }).click();
  await page.getByLabel("From").fill("2026-01-01T00:00:00");
  await page.getByLabel("To", { exact: true }).fill("2025-01-01T00:00:00");
  await page.getByText("The start must be before the end.").waitFor();
  await page.getByLabel("To", { exact: true }).fill("2026-01-02T00:00:00");
  await page.getByRole("button", { name: "Apply", exact: true }).click();
  await page.getByRole("img", { name: "No data" }).first().waitFor();
});

test("the buttons beside the slider step from snapshot to snapshot", async () => {
  const begin = Date.now() - 20_000;
  const steady = new Machine("steady", 5);
  await register(site, "steady");
  const snapshots = Array.from({ length: 10 }, (_, i) => steady.snapshot(begin + i * 1000));
  await post(site, "steady", snapshots);
  await page.goto(`${site.url}/machines/steady?at=${begin + 5100}`);
  const shows = (i) => page.locator(`[data-testid="instant"][data-timestamp="${snapshots[i].timestamp}"]`).waitFor();
  await shows(5);
  await page.getByRole("button", { name: "Previous snapshot" }).click();
  await shows(4);
  await page.getByRole("button", { name: "Next snapshot" }).click();
  await shows(5);
});

test("there were no errors on the pages", () => assert.deepEqual(errors, []));
