// Takes the screenshots of the README and the docs: npm run screenshot. FOLDER selects another folder.
// The pages show simulated machines (demoFleet.mjs) on a real server.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createDemoFleet } from "./demoFleet.mjs";
import { newContext, setUp, startBrowser, startServer } from "./harness.mjs";

const folder = process.env.FOLDER ?? fileURLToPath(new URL("../../docs/images/", import.meta.url));
mkdirSync(folder, { recursive: true });
const site = await startServer({ agent: false });
const browser = await startBrowser();
const context = await newContext(browser, { timezoneId: "UTC", locale: "en-GB" });
try {
  const { id, before, during, postNext } = await createDemoFleet(site);
  const first = await context.newPage();
  await setUp(first, site);
  await first.close();
  const tree = "table.processes tbody tr[data-pid]";
  for (const [name, route, colorScheme, [width, height], ready] of [
    ["fleet", "/", "light", [1360, 700], "table.fleet .sparkline"],
    ["machine", `/machines/${id}`, "light", [1360, 1000], tree],
    ["past", `/machines/${id}?sort=cpu&desc=true&at=${during}`, "dark", [1360, 1000], `${tree} .sparkline`],
    ["diff", `/machines/${id}/diff?from=${before}&to=${during}`, "light", [1360, 720], ".diff tbody tr"],
    ["process", `/machines/${id}/processes/4714?at=${during}`, "light", [1360, 620], ".relatives tbody tr"],
    ["find", "/find?q=pg_dump", "light", [1360, 420], ".match li"],
    ["storage", "/admin?tab=storage", "light", [1360, 620], "form.card"],
    ["phone", `/machines/${id}?sort=cpu&desc=true&at=${during}`, "dark", [390, 844], tree],
  ]) {
    const page = await context.newPage();
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.goto(site.url + route);
    await postNext();
    await page.locator(ready).first().waitFor();
    await page.waitForTimeout(1500); // until charts and sparklines are drawn
    await page.screenshot({ path: `${folder}/${name}.png` });
    await page.close();
  }
} finally {
  await browser.close();
  await site.stop();
  site.remove();
}
