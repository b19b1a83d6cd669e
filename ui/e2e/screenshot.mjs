// Takes the pictures of the README from a real run: npm run screenshot, as root.
// It runs in namespaces of its own, so that the pictures show no other process
// and no host name of the machine they were taken on.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { api, browser, patch, setUp, thisMachine, until, up } from "./site.mjs";

const folder = fileURLToPath(new URL("../../docs/images/", import.meta.url));
mkdirSync(folder, { recursive: true });
const site = await up();
const chromium = await browser();
const context = await chromium.newContext();
// Something to see: a shell with a busy and an idle child.
const family = spawn("bash", ["-c", "sleep 600 & (while :; do :; done) & wait"], { detached: true });
try {
  const machineId = await thisMachine(site);
  await patch(site, machineId, { polling_interval: 1 });
  await until("a dozen snapshots", async () => (await api(site, `/api/v1/machines/${machineId}/snapshots?since=1h`)).results.length > 6);
  const first = await context.newPage();
  await setUp(first, site);
  await first.close();
  for (const [name, route, colorScheme, viewport] of [
    ["machine", `/machines/${machineId}`, "light", { width: 1360, height: 850 }],
    ["machine-dark", `/machines/${machineId}?sort=cpu&desc=true`, "dark", { width: 1360, height: 850 }],
    ["fleet", "/", "light", { width: 1360, height: 400 }],
  ]) {
    const page = await context.newPage();
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await page.goto(site.url + route);
    await page.locator("table tbody tr").nth(0).waitFor();
    await page.waitForTimeout(1500);
    await page.screenshot({ path: `${folder}${name}.png` });
    await page.close();
  }
} finally {
  process.kill(-family.pid);
  await chromium.close();
  await site.stop();
  site.remove();
}
