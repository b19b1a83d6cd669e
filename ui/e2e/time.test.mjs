// Times: gaps in the data, searches by time, and hours that occur twice when clocks go back.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { collectErrors, newContext, setUp, startBrowser, startServer, test, until } from "./harness.mjs";
import { Machine, post, register } from "./simulate.mjs";

let site;
let browser;
let page;
/** A page in Berlin, where 2:00 to 3:00 occurs twice on 2025-10-26. */
let berlin;
const errors = [];
const minute = 60_000;
const iso = (ms) => new Date(ms).toISOString();

/** The minute in which "crunch" ran for some seconds. The test then runs half an hour later. */
const crunchMinute = Math.floor(Date.now() / minute) * minute - 30 * minute;
/** A machine that recorded for a minute, was off for 20 minutes, and recorded for a minute. */
const off = { from: crunchMinute - 25 * minute, to: crunchMinute - 5 * minute };

const machineUrl = (search) => `${site.url}/machines/gaps${search}`;
const instant = () => page.getByTestId("instant").getAttribute("data-timestamp");
const shows = (ms) => page.locator(`[data-testid="instant"][data-timestamp="${iso(ms)}"]`).waitFor();

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer({ agent: false })]);
  const options = { viewport: { width: 1400, height: 1000 }, locale: "en-GB" };
  const context = await newContext(browser, { ...options, timezoneId: "UTC" });
  page = await context.newPage();
  collectErrors(page, errors, /40[14]/);
  await setUp(page, site);
  const storageState = await context.storageState();
  berlin = await (await newContext(browser, { ...options, timezoneId: "Europe/Berlin", storageState })).newPage();
  collectErrors(berlin, errors, /40[14]/);
  const machine = new Machine("gaps", 5);
  await register(site, "gaps");
  const seconds = Array.from({ length: 60 }, (_, i) => i * 1000);
  await post(site, "gaps", [
    ...seconds.map((ms) => machine.snapshot(off.from - 59_000 + ms)),
    ...seconds.map((ms) => machine.snapshot(off.to + ms, ms === 0 ? { full: true, intervalMs: undefined } : {})),
  ]);
  await register(site, "cruncher");
  const init = { pid: 1, ppid: 0, name: "init" };
  const crunch = { pid: 4711, ppid: 1, name: "crunch", command_line: "crunch --all" };
  const ran = Array.from({ length: 11 }, (_, i) => 3 + i * 5).map((second) => ({
    timestamp: iso(crunchMinute + second * 1000),
    interval_ms: 5000,
    processes: second >= 13 && second <= 51 ? [init, crunch] : [init],
  }));
  await post(site, "cruncher", ran);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

test("a time in a gap says which snapshot is shown and how old it is", async () => {
  await page.goto(machineUrl(`?at=${off.from + 10 * minute}`));
  await page.getByText("No data", { exact: true }).waitFor();
  await page.getByText("No data for this time.").waitFor();
  await page.getByText("(10 min earlier)").first().waitFor();
  assert.equal(await instant(), iso(off.from));
  assert.equal(await page.getByText("Past", { exact: true }).count(), 0);
  // The gap is hatched on the timeline, from soon after the last snapshot to the next one.
  const hatched = page.locator(".scrubber-gaps [data-gap]");
  await hatched.nth(1).waitFor();
  const starts = await hatched.evaluateAll((gaps) => gaps.map((gap) => Date.parse(gap.dataset.gap)));
  assert.ok(starts.includes(off.from + 3000), `${starts.map(iso)}`);
  const slider = page.getByRole("slider", { name: "Time" });
  assert.match(await slider.getAttribute("aria-valuetext"), /, no data$/);

  await page.getByRole("button", { name: /^Show the next snapshot, from/ }).click();
  await shows(off.to);
  await page.getByText("Past", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Previous snapshot" }).click();
  await shows(off.from);
  await page.getByText("Past", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Next snapshot" }).click();
  await shows(off.to);
  await page.goto(machineUrl(`/processes/1?at=${iso(off.from + 10 * minute)}`));
  await page.getByText("(10 min earlier) – no data for the selected time").waitFor();
});

test("a time between two snapshots says how old the snapshot is, and a search finds what ran", async () => {
  await register(site, "slow");
  const ran = [0, 5, 10].map((minutes) => ({
    timestamp: iso(off.from + minutes * minute),
    interval_ms: 5 * minute,
    processes: [{ pid: 1, ppid: 0, name: "slow-process", cpu_ms: 0, memory_usage: 2 ** 36 }],
  }));
  await post(site, "slow", ran);
  const at = iso(off.from + 9 * minute);
  await page.goto(`${site.url}/machines/slow?at=${at}`);
  await page.getByText("(4 min earlier)").waitFor();
  await page.getByText("Past", { exact: true }).waitFor();
  const [from, to] = [7, 8].map((minutes) => iso(off.from + minutes * minute));
  await page.goto(`${site.url}/find?q=${encodeURIComponent(`slow-process from ${from} to ${to}`)}`);
  await page.locator('.match[data-machine="slow"] li[data-pid="1"]').waitFor();
});

test("a comparison in a gap has no verdict", async () => {
  await page.goto(machineUrl(`/diff?from=${iso(off.from + 5 * minute)}&to=${iso(off.from + 15 * minute)}`));
  await page.getByText("Both times have the same snapshot.").waitFor();
  const card = (title) => page.getByRole("region", { name: title, exact: true });
  await card("Before").getByText("No data for this time.").waitFor();
  await card("After").getByText("(15 min earlier)").waitFor();
  assert.equal(await page.getByText("No process started, ended or changed.", { exact: true }).count(), 0);
  // Across the gap, both sides are known, but not what happened in between.
  await page.goto(machineUrl(`/diff?from=${iso(off.from - 10_000)}&to=${iso(off.to + 10_000)}`));
  await page.getByText("There are gaps between the two times.").waitFor();
  assert.equal(await page.getByText("No data for this time.").count(), 0);
});

test("a comparison with an end in a gap lists the gap and has no verdict", async () => {
  const [from, to] = [off.from - 10_000, off.from + 5 * minute];
  await page.goto(machineUrl(`/diff?from=${iso(from)}&to=${iso(to)}`));
  const notice = page.getByText("There are gaps between the two times.");
  await notice.waitFor();
  const end = new Date(to).toLocaleTimeString("en-GB", { timeZone: "UTC" });
  await page.locator(".notice li", { hasText: end }).waitFor();
  assert.equal(await page.getByText("No process started, ended or changed.", { exact: true }).count(), 0);
});

test("a comparison with an end in the future lists no gap that has not begun", async () => {
  const from = off.to + 10_000;
  await page.goto(machineUrl(`/diff?from=${iso(from)}&to=${iso(Date.now() + 86_400_000)}`));
  const gap = page.locator(".notice", { hasText: "There are gaps" }).locator("li");
  await gap.waitFor();
  const text = await gap.innerText();
  const [begin, end] = text.split(" – ").map((time) => Date.parse(`${time.replace(", ", " ")} UTC`));
  assert.ok(begin > from && end > begin && end <= Date.now(), text);
});

test("long ranges show a gap of almost two buckets", async () => {
  const hour = 60 * minute;
  const hole = Math.floor(crunchMinute / hour) * hour - 10 * hour;
  const [from, to] = [hole - 20 * hour + 30 * minute, hole + 8 * hour + 30 * minute];
  const init = { pid: 1, ppid: 0, name: "init" };
  const snapshot = (ms, known) => ({
    timestamp: iso(ms),
    ...(known && { interval_ms: minute }),
    machine_snapshot: known ? { cpu_usage: 25 } : {},
    processes: [{ ...init, ...(known && { cpu_ms: 6000 }) }],
  });
  const minutes = Array.from({ length: (to - from) / minute + 1 }, (_, i) => from + i * minute);
  const [first, last] = [hole + 5 * minute, hole + 115 * minute];
  const recorded = minutes.filter((ms) => ms <= first || ms >= last);
  await register(site, "hole");
  for (let i = 0; i < recorded.length; i += 500) {
    const part = recorded.slice(i, i + 500);
    await post(
      site,
      "hole",
      part.map((ms) => snapshot(ms, ms !== last && ms !== from)),
    );
  }
  const range = `from=${iso(from)}&to=${iso(to)}`;
  await page.goto(`${site.url}/machines/hole?${range}`);
  const hatched = page.locator(".scrubber-gaps [data-gap]");
  await hatched.first().waitFor();
  const starts = await hatched.evaluateAll((gaps) => gaps.map((gap) => gap.dataset.gap));
  assert.deepEqual(starts, [iso(first + 2 * minute + 1000)]);
  await page.goto(`${site.url}/machines/hole/diff?${range}`);
  await page.getByText("There are gaps between the two times.").waitFor();
  const listed = page.locator(".notice", { hasText: "There are gaps" }).locator("li");
  assert.match(await listed.innerText(), /^about 1 h 47 min between /);
  assert.equal(await page.getByText("No process started, ended or changed.", { exact: true }).count(), 0);
});

test("the chart of a name breaks at a short gap of its machine", async () => {
  const [from, to] = [crunchMinute - 6 * 60 * minute, crunchMinute];
  const [first, last] = [from + 150 * minute, from + 158 * minute];
  const minutes = Array.from({ length: (to - from) / minute + 1 }, (_, i) => from + i * minute);
  const snapshots = minutes
    .filter((ms) => ms <= first || ms >= last)
    .map((ms) => ({
      timestamp: iso(ms),
      ...(ms !== from && ms !== last && { interval_ms: minute }),
      machine_snapshot: {},
      processes: [{ pid: 1, ppid: 0, name: "holed", ...(ms !== from && ms !== last && { cpu_ms: 6000 }) }],
    }));
  await register(site, "short-hole");
  await post(site, "short-hole", snapshots);
  // On another machine, which has no gap, such a process ended before the range.
  // It is in the list, but not in the chart. Both begin with a whole hour.
  const init = { pid: 1, ppid: 0, name: "init" };
  const begin = Math.floor(from / (60 * minute)) * 60 * minute;
  const whole = Array.from({ length: (to - begin) / minute + 1 }, (_, i) => begin + (i - 0.5) * minute).map((ms) => ({
    timestamp: iso(ms),
    interval_ms: minute,
    machine_snapshot: {},
    processes: ms < begin ? [init, { pid: 2, ppid: 1, name: "holed" }] : [init],
  }));
  await register(site, "whole");
  await post(site, "whole", whole);
  await page.goto(`${site.url}/processes/holed?from=${iso(from)}&to=${iso(to)}`);
  await page.locator('.match[data-machine="whole"]').waitFor();
  /** Reports where the area below the line of the CPU chart is filled. Its color, unlike those of lines, is faint. */
  const isFilled = (parts) => {
    const canvas = document.querySelector(".chart canvas");
    const plot = canvas?.parentElement.querySelector(".u-over");
    return parts.map((part) => {
      if (!plot) return undefined;
      const scale = canvas.width / canvas.clientWidth;
      const x = Math.round((plot.offsetLeft + part * plot.clientWidth) * scale);
      const column = canvas.getContext("2d").getImageData(x, 0, 1, canvas.height).data;
      return column.filter((value, i) => i % 4 === 3 && value > 10 && value < 100).length > canvas.height / 4;
    });
  };
  const part = (ms) => (ms - from) / (to - from);
  const parts = [part(from + 130 * minute), part(from + 140 * minute), part(first + 5 * minute)];
  await until("a break in the line", async () => {
    // One of the first two can be at a vertical line of the grid.
    const [before, later, inGap] = await page.evaluate(isFilled, parts);
    return (before || later) && inGap === false;
  });
});

test("the table of a chart has only the times of snapshots", async () => {
  const isSnapshot = (ms) => (ms >= off.from - 59_000 && ms <= off.from) || (ms >= off.to && ms <= off.to + 59_000);
  const range = `from=${iso(off.from - minute)}&to=${iso(off.to + minute)}`;
  for (const route of ["machines/gaps", "machines/gaps/processes/1"]) {
    await page.goto(`${site.url}/${route}?${range}`);
    await page.locator(".chart canvas").first().waitFor();
    await page.getByRole("button", { name: "Export CPU", exact: true }).click();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByText("Table (CSV)").click()]);
    const times = readFileSync(await file.path(), "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => Date.parse(line.split(",")[0]));
    assert.ok(times.length > 1, `${route}: ${times.length} rows`);
    assert.deepEqual(times.filter((ms) => !isSnapshot(ms) || ms % 1000 !== off.from % 1000).map(iso), [], route);
  }
});

test("a field of a comparison does not change while the other one is typed", async () => {
  const day = `${iso(crunchMinute - 2 * 86_400_000).slice(0, 10)}T`;
  await page.goto(machineUrl(`/diff?from=${day}19:00:00Z&to=${day}20:30:00Z`));
  const before = page.getByLabel("Before: time");
  await page.getByLabel("After: time").fill(`${day}01:30:00`);
  await page.getByText("The first time must be before the second.").waitFor();
  assert.equal(await before.inputValue(), `${day}19:00`);
  await page.getByLabel("After: time").fill(`${day}21:30:00`);
  await page.waitForURL((url) => url.searchParams.get("to") === `${day}21:30:00.000Z`);
  assert.equal(await before.inputValue(), `${day}19:00`);
  assert.equal(new URL(page.url()).searchParams.get("from"), `${day}19:00:00.000Z`);
  assert.equal(await page.getByText("The first time must be before the second.").count(), 0);
});

test("both times of a comparison are used as typed, in any order", async () => {
  const date = (days) => iso(crunchMinute - days * 86_400_000).slice(0, 10);
  await page.goto(machineUrl(`/diff?from=${date(2)}T10:00:00Z&to=${date(2)}T12:30:00Z`));
  const reversed = page.getByText("The first time must be before the second.");
  await page.getByLabel("After: time").fill(`${date(3)}T12:00:00`);
  await reversed.waitFor();
  await page.getByLabel("Before: time").fill(`${date(3)}T11:00:00`);
  await page.waitForURL((url) => url.searchParams.get("from") === `${date(3)}T11:00:00.000Z`);
  assert.equal(new URL(page.url()).searchParams.get("to"), `${date(3)}T12:00:00.000Z`);
  assert.equal(await reversed.count(), 0);
  assert.equal(await page.getByLabel("After: time").inputValue(), `${date(3)}T12:00`);
});

test("the fields of a custom range begin with the shown times", async () => {
  const at = crunchMinute - 2 * 86_400_000;
  await page.goto(machineUrl(`?span=3h&at=${iso(at)}`));
  await page.getByRole("button", { name: "Custom range" }).click();
  const [from, to] = ["From", "To"].map((label) => page.getByLabel(label, { exact: true }));
  const shown = (ms) => iso(ms).slice(0, 16);
  assert.equal(await from.inputValue(), shown(at - 90 * minute));
  assert.equal(await to.inputValue(), shown(at + 90 * minute));
  await from.fill(shown(at - 60 * minute));
  await page.getByRole("button", { name: "Apply", exact: true }).click();
  await page.waitForURL((url) => url.searchParams.get("from") === iso(at - 60 * minute));
  assert.equal(new URL(page.url()).searchParams.get("to"), iso(at + 90 * minute));
});

test("a search for a minute finds what ran in it, and otherwise the nearest time", async () => {
  const search = page.getByRole("searchbox", { name: "Find processes" });
  const find = async (text) => {
    await search.fill(text);
    await search.press("Enter");
    await page.waitForURL((url) => url.searchParams.get("q") === text);
  };
  const clock = (ms) => iso(ms).slice(11, 16);
  const match = page.locator('.match[data-machine="cruncher"] li[data-pid="4711"]');
  const nothing = page.getByText("No matching processes at this time.");
  for (const time of [
    clock(crunchMinute),
    `${clock(crunchMinute).replace(/^0/, "")}`,
    `between ${clock(crunchMinute - minute)} and ${clock(crunchMinute + minute)}`,
    `from ${clock(crunchMinute)} to ${clock(crunchMinute + minute)}`,
  ]) {
    await find(`crunch ${time}`);
    await match.waitFor();
    await find("crunch now");
    await nothing.waitFor();
  }
  await find(`crunch ${clock(crunchMinute + 2 * minute)}`);
  const nearest = page.locator('[data-nearest="before"]');
  await nearest.getByText(/^\(1 min 12 s before\)$/).waitFor();
  assert.equal(await page.locator('[data-nearest="after"]').count(), 0);
  await nearest.getByRole("link").click();
  await page.locator('table.processes tr[data-pid="4711"]').waitFor();
  await shows(crunchMinute + 48_000);
  await find(`crunch ${clock(crunchMinute - minute)}`);
  await page.locator('[data-nearest="after"]').getByText("(13 s after)").waitFor();
});

test("an hour that occurs twice has the name of the time zone, and fields that are not edited do not change", async () => {
  const range = { from: "2025-10-26T00:30:00.123Z", to: "2025-10-26T01:30:00.456Z" };
  const parameters = () => {
    const { searchParams } = new URL(berlin.url());
    return { from: searchParams.get("from"), to: searchParams.get("to") };
  };
  await berlin.goto(machineUrl(`?from=${range.from}&to=${range.to}`));
  const button = berlin.getByRole("group", { name: "Time range" }).getByRole("button", { name: /–/ });
  const label = await button.innerText();
  const zones = [...label.matchAll(/02:30:00 (\S+)/g)].map(([, zone]) => zone);
  assert.equal(new Set(zones).size, 2, label);
  await button.click();
  assert.equal(await berlin.getByLabel("To", { exact: true }).inputValue(), "2025-10-26T02:30");
  await berlin.getByRole("button", { name: "Apply", exact: true }).click();
  await berlin.getByRole("button", { name: "Apply", exact: true }).waitFor();
  assert.deepEqual(parameters(), range);
  // An edited field keeps its zone, until the other one is chosen.
  await berlin.getByLabel("To", { exact: true }).fill("2025-10-26T02:40:00");
  await berlin.getByRole("button", { name: "Apply", exact: true }).click();
  await berlin.waitForURL((url) => url.searchParams.get("to") === "2025-10-26T01:40:00.000Z");
  const choices = berlin.getByRole("group", { name: "To: time zone" }).getByRole("button");
  assert.deepEqual(await choices.allInnerTexts(), zones);
  await choices.first().click();
  await berlin.getByRole("button", { name: "Apply", exact: true }).click();
  await berlin.waitForURL((url) => url.searchParams.get("to") === "2025-10-26T00:40:00.000Z");
  assert.equal(parameters().from, range.from);
});

test("a search in an hour that occurs twice says so", async () => {
  const asked = () => berlin.getByTestId("search").locator("time").first().getAttribute("datetime");
  await berlin.goto(`${site.url}/find?q=crunch+2025-10-26+02:30`);
  await berlin.getByText("This time occurs twice, because the clocks go back.").waitFor();
  assert.equal(await asked(), "2025-10-26T00:30:00.000Z");
  await berlin.getByRole("link", { name: /^Search for .* 02:30:00/ }).click();
  await berlin.waitForURL((url) => url.searchParams.get("q") === "crunch 2025-10-26T02:30+01:00");
  await berlin.locator('[data-testid="search"] time[datetime="2025-10-26T01:30:00.000Z"]').waitFor();
  assert.equal(await berlin.getByText("This time occurs twice").count(), 0);
  await berlin.goto(`${site.url}/find?q=crunch+2025-03-30+02:30`);
  await berlin.getByText("This time does not exist, because the clocks go forward.").waitFor();
});

test("the page of a name says when only some of its machines were measured", async () => {
  const minutes = (from, to) => Array.from({ length: to - from }, (_, i) => crunchMinute + (from + i - 40) * minute);
  const snapshot = (ms) => ({
    timestamp: iso(ms),
    interval_ms: minute,
    processes: [{ pid: 9, ppid: 0, name: "pair", cpu_ms: 30_000, memory_usage: 1e6 }],
  });
  await post(site, "pair-1", minutes(0, 30).map(snapshot));
  await post(site, "pair-2", [...minutes(0, 10), ...minutes(20, 30)].map(snapshot));
  const range = (from, to) =>
    `from=${iso(crunchMinute + (from - 41) * minute)}&to=${iso(crunchMinute + (to - 41) * minute)}`;
  await page.goto(`${site.url}/processes/pair?${range(0, 30)}`);
  const notice = page.locator(".notice", { hasText: "Some machines were not measured all the time." });
  await notice.waitFor();
  const clock = (m) => iso(crunchMinute + (m - 41) * minute).slice(11, 16);
  const [time, ...others] = await notice.locator("li").allInnerTexts();
  assert.deepEqual(others, []);
  assert.match(time, new RegExp(`, ${clock(10)} – .*, ${clock(20)}: 1 of 2 machines were measured$`));
  assert.equal(await page.locator(".chart-hatched").count(), 3);
  const box = await page.locator(".chart-hatched").first().boundingBox();
  const chart = await page.locator(".chart .u-over").first().boundingBox();
  assert.ok(Math.abs(box.width - chart.width / 3) < 3, `${box.width} of ${chart.width} px`);
  await page.goto(`${site.url}/processes/pair?${range(0, 10)}`);
  await page.locator(".match").nth(1).waitFor();
  assert.equal(await notice.count(), 0);
});

test("a time that the page shows can be pasted into the search", async () => {
  await page.goto(machineUrl(`?at=${crunchMinute + 30_000}`));
  const shown = await page.getByTestId("instant").locator("time").innerText();
  const search = page.getByRole("searchbox", { name: "Find processes" });
  await search.fill(`init ${shown}`);
  await search.press("Enter");
  const found = page.locator('[data-testid="search"] time');
  await found.waitFor();
  assert.equal(await found.innerText(), shown);
  assert.equal(await page.locator('[data-testid="search"] strong').innerText(), "init");
});

test("the labels of charts are not cut off", async () => {
  /** Records the texts in canvases, with their ends in pixels. */
  const recordTexts = () => {
    window.drawnTexts = [];
    const { prototype } = CanvasRenderingContext2D;
    const { fillText } = prototype;
    prototype.fillText = function (text, x, ...rest) {
      const { actualBoundingBoxLeft: left, actualBoundingBoxRight: right } = this.measureText(text);
      window.drawnTexts.push({ text, from: x - left, to: x + right, canvas: this.canvas });
      return fillText.call(this, text, x, ...rest);
    };
  };
  const isInEachChart = (label) => {
    const charts = [...document.querySelectorAll(".chart canvas")];
    const labelled = window.drawnTexts.filter(({ text }) => text === label).map(({ canvas }) => canvas);
    return charts.length > 1 && charts.every((canvas) => labelled.includes(canvas));
  };
  // The last label is at the end of the axis.
  const to = Math.ceil(crunchMinute / (30 * minute)) * 30 * minute;
  const label = (locale) =>
    to % 86_400_000 === 0
      ? new Date(to).toLocaleDateString(locale, { timeZone: "UTC", day: "numeric", month: "short" })
      : new Date(to).toLocaleTimeString(locale, { timeZone: "UTC", hour: "2-digit", minute: "2-digit" });
  const storageState = await page.context().storageState();
  for (const [locale, width] of [
    ["en-GB", 1400],
    ["en-GB", 390],
    ["en-US", 390],
  ]) {
    const options = { viewport: { width, height: 1000 }, locale, timezoneId: "UTC", storageState };
    const context = await newContext(browser, options);
    await context.addInitScript(recordTexts);
    for (const route of ["machines/gaps", "machines/gaps/processes/1", "processes/nginx"]) {
      const target = await context.newPage();
      await target.goto(`${site.url}/${route}?from=${iso(to - 60 * minute)}&to=${iso(to)}`);
      await target.waitForFunction(isInEachChart, label(locale));
      const cut = await target.evaluate(() =>
        window.drawnTexts
          .filter(({ from, to, canvas }) => from < 0 || to > canvas.width)
          .map(({ text, from, to, canvas }) => `${text}: ${from} to ${to} of ${canvas.width}`),
      );
      assert.deepEqual(cut, [], `${route} at ${width} px`);
    }
    await context.close();
  }
});

test("there were no errors on the pages", () => assert.deepEqual(errors, []));
