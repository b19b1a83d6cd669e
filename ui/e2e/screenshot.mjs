// Takes the pictures of the README and the docs: npm run screenshot. What they show
// is made up (story.mjs), on a real server and in a real browser.
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { browser, setUp, up } from "./site.mjs";
import { tell } from "./story.mjs";

const folder = process.env.FOLDER ?? fileURLToPath(new URL("../../docs/images/", import.meta.url));
mkdirSync(folder, { recursive: true });
const site = await up({ agent: false });
const chromium = await browser();
const context = await chromium.newContext({ timezoneId: "UTC", locale: "en-GB" });
try {
  const { id, before, during, next } = await tell(site);
  const first = await context.newPage();
  await setUp(first, site);
  await first.close();
  const tree = "table.processes tbody tr[data-pid]";
  for (const [name, route, colorScheme, [width, height], ready] of [
    ["fleet", "/", "light", [1360, 700], "table.fleet .sparkline"],
    ["machine", `/machines/${id}`, "light", [1360, 1000], tree],
    ["past", `/machines/${id}?sort=cpu&desc=true&at=${during}`, "dark", [1360, 1000], `${tree} .sparkline`],
    ["diff", `/machines/${id}/diff?from=${before}&to=${during}`, "light", [1360, 720], ".diff tbody tr"],
    ["process", `/machines/${id}/processes/4714?at=${during}`, "light", [1360, 620], ".family tbody tr"],
    ["find", "/find?q=pg_dump", "light", [1360, 420], ".match li"],
    ["storage", "/admin?tab=storage", "light", [1360, 620], "form.card"],
    ["phone", `/machines/${id}?sort=cpu&desc=true&at=${during}`, "dark", [390, 844], tree],
  ]) {
    const page = await context.newPage();
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.goto(site.url + route);
    await next();
    await page.locator(ready).first().waitFor();
    await page.waitForTimeout(1500);
    await page.screenshot({ path: `${folder}/${name}.png` });
    await page.close();
  }
} finally {
  await chromium.close();
  await site.stop();
  site.remove();
}
