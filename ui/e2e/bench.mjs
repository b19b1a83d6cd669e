// What the page costs, with figures: npm run bench, and npm run bench -- heap for the
// hour of live view. bench/RESULTS.md has what came out.
import { api, browser, setUp, up } from "./site.mjs";
import { Machine, post, register } from "./simulate.mjs";

const parts = process.argv.slice(2);
const minutes = Number(process.env.MINUTES ?? 60);
const wants = (part) => parts.includes(part) || (parts.length === 0 && part !== "heap");
const site = await up({ env: { SNAPWATCH_REQUEST_RATE: "100000", SNAPWATCH_LOG_LEVEL: "warn" } });
const chromium = await browser();
const context = await chromium.newContext({ viewport: { width: 1400, height: 1000 } });
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const worst = (list, share) => list.toSorted((a, b) => a - b)[Math.floor(list.length * share)];
const say = (what, value) => console.log(`${what.padEnd(58)} ${value}`);

/** Loads a page afresh, slowed down, and tells what it transferred and when its largest part was painted. */
async function load(route, selector, slowdown) {
  const fresh = await chromium.newContext({
    viewport: { width: 1400, height: 1000 },
    storageState: await context.storageState(),
  });
  const page = await fresh.newPage();
  const cdp = await fresh.newCDPSession(page);
  await cdp.send("Emulation.setCPUThrottlingRate", { rate: slowdown });
  await page.addInitScript(() => {
    window.paints = [];
    new PerformanceObserver((list) => window.paints.push(...list.getEntries().map((e) => e.startTime))).observe({
      type: "largest-contentful-paint",
      buffered: true,
    });
  });
  await page.goto(site.url + route);
  await page.locator(selector).first().waitFor();
  await page.waitForTimeout(1500);
  const out = await page.evaluate(() => ({
    paint: window.paints.at(-1),
    script: performance
      .getEntriesByType("resource")
      .filter((r) => r.name.endsWith(".js"))
      .reduce((sum, r) => sum + r.encodedBodySize, 0),
  }));
  await fresh.close();
  return out;
}

/** Scrolls an element for two seconds with the wheel, four pages a second, and returns how long frames took. */
async function frames(page, selector) {
  const box = await page.locator(selector).boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + Math.min(300, box.height / 2));
  const measured = page.evaluate(
    () =>
      new Promise((resolve) => {
        const list = [];
        const begin = performance.now();
        let last = begin;
        const frame = (now) => {
          list.push(now - last);
          last = now;
          now - begin < 2000 ? requestAnimationFrame(frame) : resolve(list.slice(2));
        };
        requestAnimationFrame(frame);
      }),
  );
  for (let i = 0; i < 125; i++) {
    await page.mouse.wheel(0, 60);
    await new Promise((resolve) => setTimeout(resolve, 14));
  }
  return measured;
}

const tellFrames = (what, list) =>
  say(
    what,
    `${median(list).toFixed(1)} ms a frame, 95 % within ${worst(list, 0.95).toFixed(1)}, ${((1000 * list.length) / list.reduce((a, b) => a + b, 0)).toFixed(0)} frames/s`,
  );

try {
  const first = await context.newPage();
  await setUp(first, site);
  await first.close();
  const now = Date.now();

  if (wants("load") || wants("scrub")) {
    const machine = new Machine("web-1", 1000);
    await register(site, "web-1");
    for (let minute = 10; minute > 0; minute--)
      await post(
        site,
        "web-1",
        Array.from({ length: 60 }, (_, s) => machine.snapshot(now - minute * 60_000 + s * 1000)),
      );
  }
  if (wants("load")) {
    for (const [route, selector] of [
      ["/", "table.fleet tbody a"],
      ["/machines/web-1", "tr[data-pid]"],
    ]) {
      const runs = [];
      for (let i = 0; i < 5; i++) runs.push(await load(route, selector, 4));
      say(`${route}: script transferred`, `${(runs[0].script / 1000).toFixed(0)} KB`);
      say(
        `${route}: largest paint, CPU 4× slower`,
        `${median(runs.map((r) => r.paint)).toFixed(0)} ms (of 5; worst ${Math.max(...runs.map((r) => r.paint)).toFixed(0)})`,
      );
    }
  }
  if (wants("scrub")) {
    const page = await context.newPage();
    await page.goto(`${site.url}/machines/web-1?at=${now - 300_000}`);
    await page.locator("tr[data-pid]").first().waitFor();
    await page.waitForTimeout(1000);
    const took = [];
    for (let i = 0; i < 40; i++) {
      took.push(
        await page.evaluate(
          async (at) => {
            const slider = document.querySelector(".scrubber input[type=range]");
            const shown = () => document.querySelector("[data-testid=instant]").dataset.timestamp;
            const before = shown();
            Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(slider, String(at));
            const begin = performance.now();
            slider.dispatchEvent(new Event("input", { bubbles: true }));
            while (shown() === before) await new Promise(requestAnimationFrame);
            return performance.now() - begin;
          },
          now - 500_000 + ((i * 7919) % 400) * 1000,
        ),
      );
      await page.waitForTimeout(350);
    }
    say(
      "scrubbing to another instant, 1,000 processes",
      `${median(took).toFixed(0)} ms (of 40; 95 % within ${worst(took, 0.95).toFixed(0)})`,
    );
    await page.close();
  }
  if (wants("rows")) {
    const machine = new Machine("big", 5000);
    await register(site, "big");
    await post(site, "big", [machine.snapshot(Date.now())]);
    const page = await context.newPage();
    await page.goto(`${site.url}/machines/big`);
    await page.locator("tr[data-pid]").first().waitFor();
    await page.waitForTimeout(1500);
    await page.evaluate(() => document.querySelector(".long").scrollIntoView());
    tellFrames("scrolling 5,000 processes", await frames(page, ".long"));
    await page.close();
  }
  if (wants("fleet")) {
    const queue = Array.from({ length: 10_000 }, (_, i) => `machine-${String(i).padStart(5, "0")}`);
    await Promise.all(
      Array.from({ length: 24 }, async () => {
        for (let id = queue.pop(); id; id = queue.pop()) {
          await register(site, id);
          await post(site, id, [new Machine(id, 3).snapshot(Date.now())]);
        }
      }),
    );
    const page = await context.newPage();
    const begin = Date.now();
    await page.goto(site.url);
    await page.getByText("machine-00001").waitFor();
    say("10,000 machines: first rows after", `${Date.now() - begin} ms`);
    await page.waitForTimeout(3000);
    tellFrames("scrolling 10,000 machines", await frames(page, ".long"));
    const answer = await api(site, "/api/v1/machines?limit=1000");
    say(
      "10,000 machines: an answer of 1,000",
      `${(JSON.stringify(answer).length / 1000).toFixed(0)} KB before compression`,
    );
    await page.close();
  }
  if (wants("heap")) {
    const machine = new Machine("live", 1000);
    await register(site, "live");
    await post(site, "live", [machine.snapshot(Date.now())]);
    const page = await context.newPage();
    await page.goto(`${site.url}/machines/live`);
    await page.locator("tr[data-pid]").first().waitFor();
    const cdp = await context.newCDPSession(page);
    const heap = async () => {
      await cdp.send("HeapProfiler.collectGarbage");
      return (await cdp.send("Runtime.getHeapUsage")).usedSize / 1e6;
    };
    const begin = Date.now();
    let start;
    for (let second = 1; second <= minutes * 60; second++) {
      await new Promise((resolve) => setTimeout(resolve, begin + second * 1000 - Date.now()));
      await post(site, "live", [machine.snapshot(Date.now())]);
      if (second === 60) start = await heap();
      if (second % 600 === 0) say(`heap after ${second / 60} min of live view`, `${(await heap()).toFixed(1)} MB`);
    }
    const shown = await page.getByTestId("instant").getAttribute("data-timestamp");
    say(
      "growth of the heap in all, from the first minute on",
      `${((await heap()) - start).toFixed(1)} MB; the page shows ${Date.parse(machine.previous) - Date.parse(shown)} ms before the newest`,
    );
  }
} finally {
  await chromium.close();
  await site.stop();
  site.remove();
}
