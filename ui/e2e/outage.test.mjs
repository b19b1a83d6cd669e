// A private database that does not start: every page says why, the session stays, and the page recovers by itself.
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before } from "node:test";
import { collectErrors, newPage, setUp, startBrowser, startServer, test } from "./harness.mjs";

let site;
let browser;
let page;
const errors = [];

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer()]);
  page = await newPage(browser, { viewport: { width: 1400, height: 900 } });
  collectErrors(page, errors, /WebSocket|401|50[0-9]/);
  await setUp(page, site);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

const banner = () => page.getByRole("alert").filter({ hasText: "The server is not ready." });

test("the page says why the database does not start, and recovers", async () => {
  await page.locator("table.fleet tbody a").first().waitFor();
  assert.equal(await banner().count(), 0);
  const config = path.join(site.dir, "postgres", "postgresql.conf");
  const text = readFileSync(config);
  appendFileSync(config, "no_such_setting = 1\n");
  const [pid] = readFileSync(path.join(site.dir, "postgres", "postmaster.pid"), "utf8").split("\n");
  process.kill(Number(pid), "SIGKILL");
  await banner()
    .getByText(/contains errors/)
    .waitFor();
  if (process.env.SCREENSHOTS) {
    await page.screenshot({ path: path.join(process.env.SCREENSHOTS, "outage.png") });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.screenshot({ path: path.join(process.env.SCREENSHOTS, "outage-phone.png") });
    await page.setViewportSize({ width: 1400, height: 900 });
  }
  await page.reload(); // the session cannot be checked, so the page must not go to the sign-in page
  await banner()
    .getByText(/contains errors/)
    .waitFor();
  assert.equal(await page.getByRole("heading", { name: "Sign in" }).count(), 0);
  writeFileSync(config, text);
  await banner().waitFor({ state: "detached" });
  await page.locator("table.fleet tbody a").first().waitFor();
  assert.deepEqual(errors, []);
});
