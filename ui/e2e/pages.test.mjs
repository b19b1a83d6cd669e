// Every page: no errors, accessible in light and dark mode and on a phone, and within the script budget.
import assert from "node:assert/strict";
import { after, before, beforeEach } from "node:test";
import { assertAccessible, assertFits } from "./axe.mjs";
import { newPage, setUp, startBrowser, startServer, test } from "./harness.mjs";
import { Machine, post, register } from "./simulate.mjs";

let site;
let browser;
let page; // of all tests, because opening a page takes longer than loading ten
let errors = []; // of one test
const screen = { width: 1400, height: 900 };
const now = Date.now();
const iso = (ms) => new Date(ms).toISOString();

before(async () => {
  [browser, site] = await Promise.all([startBrowser(), startServer({ agent: false })]);
  page = await newPage(browser, { viewport: screen });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    const relevant = ["error", "warning"].includes(message.type()) && !/404/.test(message.text());
    if (relevant) errors.push(message.text());
  });
  await setUp(page, site);
  const machine = new Machine("web-1", 40);
  await register(site, "web-1");
  const snapshots = Array.from({ length: 120 }, (_, i) => machine.snapshot(now - 125_000 + i * 1000));
  await post(site, "web-1", snapshots);
});

after(async () => {
  await browser?.close();
  await site?.stop();
  site?.remove();
});

beforeEach(async () => {
  errors = [];
  await page.setViewportSize(screen);
  await page.emulateMedia({ colorScheme: "light" });
});

/** The route of each page, and an element that is there when the page is complete. */
const pages = {
  "the list of machines": ["/", "table.fleet tbody a"],
  "a machine, live": ["/machines/web-1", "tr[data-pid]"],
  "a machine in the past, filtered": [
    `/machines/web-1?at=${now - 60_000}&filter=nginx&flat=true&sort=cpu&desc=true`,
    "tr[data-pid]",
  ],
  "a time without data": ["/machines/web-1?at=1000", "text=No data for this time."],
  "a time in a gap": [`/machines/web-1?at=${now}`, "text=Showing the last snapshot before it"],
  "a comparison in a gap": [`/machines/web-1/diff?from=${iso(now)}&to=${iso(now)}`, "text=the same snapshot"],
  "a comparison": [`/machines/web-1/diff?from=${iso(now - 100_000)}&to=${iso(now - 20_000)}`, ".diff tr[data-pid]"],
  "a process": ["/machines/web-1/processes/2", ".relatives tr[data-pid]"],
  "a process name": ["/processes/nginx?span=1h", ".match"],
  "search results": ["/find?q=nginx", ".match"],
  "a search without results": ["/find?q=nginx%202020-01-01", "[data-nearest=after]"],
  "an empty search": ["/find", "text=Find a process on any machine, at any time."],
  "the account": ["/account", "text=This session"],
  users: ["/admin", "text=owner"],
  enrolment: ["/admin?tab=enrolment", "text=No active enrolment keys."],
  tokens: ["/admin?tab=tokens", "text=browser tests"],
  storage: ["/admin?tab=storage", "text=process_samples"],
  "the audit log": ["/admin?tab=audit", "table.audit tbody tr"],
  "an unknown address": ["/nowhere", "text=There is no page at this address."],
};

for (const [name, [route, selector]] of Object.entries(pages)) {
  test(`${name}: no errors, accessible, fits on a phone`, async () => {
    await page.goto(site.url + route);
    await page.locator(selector).first().waitFor();
    await assertAccessible(page, `${name}, light mode`);
    await page.emulateMedia({ colorScheme: "dark" });
    await assertAccessible(page, `${name}, dark mode`, "colors");
    await page.setViewportSize({ width: 390, height: 844 });
    await assertFits(page, name);
    await assertAccessible(page, `${name}, on a phone`, "structure");
    assert.deepEqual(errors, []);
  });
}

test("pages without a session are accessible", async () => {
  const { cookies } = await page.context().storageState();
  await page.context().clearCookies();
  await page.goto(site.url);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await assertAccessible(page, "sign-in");
  await page.goto(`${site.url}/setup`);
  await page.getByText("The setup link is incomplete.").waitFor();
  await assertAccessible(page, "setup");
  await page.context().addCookies(cookies);
});

test("panels and dialogs are accessible", async () => {
  await page.goto(`${site.url}/machines/web-1`);
  await page.locator("tr[data-pid]").first().waitFor();
  const names = ["Filters", "Columns", "Custom range", "Export range", "Export CPU", "Keyboard shortcuts", "Settings"];
  for (const name of names) {
    await page.getByRole("button", { name, exact: true }).click();
    await page.getByRole("dialog").waitFor();
    await assertAccessible(page, name, "all", "dialog, [role=dialog]");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  }
});

test("invalid values in a URL are ignored", async () => {
  for (const route of ["machines/web-1", "machines/web-1/processes/1", "processes/nginx"]) {
    await page.goto(`${site.url}/${route}?span=30d`);
    await page.locator(".chart canvas").first().waitFor();
    assert.equal(new URL(page.url()).search, "", route);
  }
  assert.deepEqual(errors, []);
});

test("the first load has at most 250 KB of script", async () => {
  await page.goto(`${site.url}/machines/web-1`);
  await page.locator("tr[data-pid]").first().waitFor();
  const loaded = await page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .filter((r) => r.name.endsWith(".js"))
      .map((r) => [r.encodedBodySize, r.decodedBodySize]),
  );
  const [sent, decoded] = [0, 1].map((i) => loaded.reduce((sum, sizes) => sum + sizes[i], 0));
  assert.ok(decoded > 300_000, `only ${decoded} bytes of script were loaded`);
  assert.ok(sent <= 250_000, `${sent} bytes of script`);
});
