// Measures the web interface: npm run bench. Name one or more parts to run only those: npm run bench -- heap.
// "heap" runs only by name, because it takes an hour (MINUTES). The results are in bench/RESULTS.md.
import { api, newContext, setUp, startBrowser, startServer } from "./harness.mjs";
import { Machine, post, register } from "./simulate.mjs";

const minutes = Number(process.env.MINUTES ?? 60);
const viewport = { width: 1400, height: 1000 };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const quantile = (list, share) => list.toSorted((a, b) => a - b)[Math.floor(list.length * share)];
const median = (list) => quantile(list, 0.5);
const report = (what, value) => console.log(`${what.padEnd(58)} ${value}`);

const site = await startServer({ agent: false, env: { SNAPWATCH_LOG_LEVEL: "warn" } });
const browser = await startBrowser();
const context = await newContext(browser, { viewport });

/** Opens a machine's page and waits for its first process. */
async function openMachine(id, search = "") {
  const page = await context.newPage();
  await page.goto(`${site.url}/machines/${id}${search}`);
  await page.locator("tr[data-pid]").first().waitFor();
  return page;
}

/** Loads a page without a cache on a slowed-down CPU. Returns the size of its scripts and the largest paint. */
async function measureLoad(route, selector, slowdown) {
  const fresh = await newContext(browser, { viewport, storageState: await context.storageState() });
  const page = await fresh.newPage();
  const cdp = await fresh.newCDPSession(page);
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: slowdown });
  await page.addInitScript(() => {
    window.paints = [];
    const observer = new PerformanceObserver((list) => window.paints.push(...list.getEntries()));
    observer.observe({ type: "largest-contentful-paint", buffered: true });
  });
  await page.goto(site.url + route);
  await page.locator(selector).first().waitFor();
  await page.waitForTimeout(1500);
  const result = await page.evaluate(() => ({
    paint: window.paints.at(-1).startTime,
    script: performance
      .getEntriesByType("resource")
      .filter((r) => r.name.endsWith(".js"))
      .reduce((sum, r) => sum + r.encodedBodySize, 0),
  }));
  await fresh.close();
  return result;
}

/** Scrolls an element for two seconds at four pages per second. Returns the durations of the frames. */
async function measureFrames(page, selector) {
  const box = await page.locator(selector).boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + Math.min(300, box.height / 2));
  const measured = page.evaluate(async () => {
    const durations = [];
    const begin = performance.now();
    for (let last = begin; last - begin < 2000;) {
      const now = await new Promise(requestAnimationFrame);
      durations.push(now - last);
      last = now;
    }
    return durations.slice(2);
  });
  for (let i = 0; i < 125; i++) {
    await page.mouse.wheel(0, 60);
    await sleep(14);
  }
  return measured;
}

function reportFrames(what, list) {
  const perSecond = (1000 * list.length) / list.reduce((a, b) => a + b, 0);
  const worst = quantile(list, 0.95).toFixed(1);
  report(what, `${median(list).toFixed(1)} ms per frame, 95 % within ${worst} ms, ${perSecond.toFixed(0)} frames/s`);
}

/** Posts ten minutes of a machine with 1,000 processes. */
async function postHistory(id, now) {
  const machine = new Machine(id, 1000);
  await register(site, id);
  for (let minute = 10; minute > 0; minute--) {
    const snapshots = Array.from({ length: 60 }, (_, s) => machine.snapshot(now - minute * 60_000 + s * 1000));
    await post(site, id, snapshots);
  }
}

const parts = {
  /** The time from the start of a server with an agent to the first live change on the page. */
  async start() {
    const begin = Date.now();
    const fresh = await startServer({ env: { SNAPWATCH_LOG_LEVEL: "warn" } });
    const started = Date.now();
    const page = await (await newContext(browser, { viewport })).newPage();
    await setUp(page, fresh);
    await page.locator("table.fleet tbody a").first().click();
    const instant = () => page.getByTestId("instant").getAttribute("data-timestamp");
    for (const first = await instant(); (await instant()) === first;) await sleep(20);
    report("start: server", `${started - begin} ms`);
    report("start: from there to a live change, at an interval of 5 s", `${Date.now() - started} ms`);
    await page.context().close();
    await fresh.stop();
    fresh.remove();
  },

  async load() {
    await postHistory("load", Date.now());
    for (const [route, selector] of [
      ["/", "table.fleet tbody a"],
      ["/machines/load", "tr[data-pid]"],
    ]) {
      const runs = [];
      for (let i = 0; i < 5; i++) runs.push(await measureLoad(route, selector, 4));
      const paints = runs.map((run) => run.paint);
      report(`${route}: script transferred`, `${(runs[0].script / 1000).toFixed(0)} KB`);
      report(
        `${route}: largest contentful paint, CPU 4× slower`,
        `${median(paints).toFixed(0)} ms (of 5; worst ${Math.max(...paints).toFixed(0)} ms)`,
      );
    }
  },

  async scrub() {
    const now = Date.now();
    await postHistory("scrub", now);
    const page = await openMachine("scrub", `?at=${now - 300_000}`);
    await page.waitForTimeout(1000);
    const times = [];
    for (let i = 0; i < 40; i++) {
      const at = now - 500_000 + ((i * 7919) % 400) * 1000;
      const time = await page.evaluate(async (at) => {
        const slider = document.querySelector(".scrubber input[type=range]");
        const shown = () => document.querySelector("[data-testid=instant]").dataset.timestamp;
        const before = shown();
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(slider, String(at));
        const begin = performance.now();
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        while (shown() === before) await new Promise(requestAnimationFrame);
        return performance.now() - begin;
      }, at);
      times.push(time);
      await page.waitForTimeout(350);
    }
    report(
      "moving the slider to another instant, 1,000 processes",
      `${median(times).toFixed(0)} ms (of 40; 95 % within ${quantile(times, 0.95).toFixed(0)} ms)`,
    );
    await page.close();
  },

  async rows() {
    const machine = new Machine("big", 5000);
    await register(site, "big");
    await post(site, "big", [machine.snapshot(Date.now())]);
    const page = await openMachine("big");
    await page.waitForTimeout(1500);
    await page.evaluate(() => document.querySelector(".long").scrollIntoView());
    reportFrames("scrolling 5,000 processes", await measureFrames(page, ".long"));
    await page.close();
  },

  async fleet() {
    const queue = Array.from({ length: 10_000 }, (_, i) => `machine-${String(i).padStart(5, "0")}`);
    const worker = async () => {
      for (let id = queue.pop(); id; id = queue.pop()) {
        await register(site, id);
        await post(site, id, [new Machine(id, 3).snapshot(Date.now())]);
      }
    };
    await Promise.all(Array.from({ length: 24 }, worker));
    const page = await context.newPage();
    const begin = Date.now();
    await page.goto(site.url);
    await page.getByText("machine-00001").waitFor();
    report("10,000 machines: first rows", `${Date.now() - begin} ms`);
    await page.waitForTimeout(3000);
    reportFrames("scrolling 10,000 machines", await measureFrames(page, ".long"));
    const answer = await api(site, "/api/v1/machines?limit=1000");
    const size = (JSON.stringify(answer).length / 1000).toFixed(0);
    report("10,000 machines: a response with 1,000", `${size} KB before compression`);
    await page.close();
  },

  /** The memory of a page with a live view of a machine with 1,000 processes. */
  async heap() {
    const machine = new Machine("live", 1000);
    await register(site, "live");
    await post(site, "live", [machine.snapshot(Date.now())]);
    const page = await openMachine("live");
    const cdp = await context.newCDPSession(page);
    const heap = async () => {
      await cdp.send("HeapProfiler.collectGarbage");
      return (await cdp.send("Runtime.getHeapUsage")).usedSize / 1e6;
    };
    const begin = Date.now();
    let start;
    for (let second = 1; second <= minutes * 60; second++) {
      await sleep(begin + second * 1000 - Date.now());
      await post(site, "live", [machine.snapshot(Date.now())]);
      if (second === 60) start = await heap();
      if (second % 600 === 0) {
        report(`heap after ${second / 60} min of live view`, `${(await heap()).toFixed(1)} MB`);
      }
    }
    const shown = await page.getByTestId("instant").getAttribute("data-timestamp");
    const delay = Date.parse(machine.previous) - Date.parse(shown);
    const growth = ((await heap()) - start).toFixed(1);
    report("growth of the heap since the first minute", `${growth} MB; the page is ${delay} ms behind`);
  },
};

try {
  const first = await context.newPage();
  await setUp(first, site);
  await first.close();
  const named = process.argv.slice(2);
  const selected = named.length > 0 ? named : Object.keys(parts).filter((name) => name !== "heap");
  for (const name of selected) await parts[name]();
} finally {
  await browser.close();
  await site.stop();
  site.remove();
}
