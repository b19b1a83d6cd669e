// Every page as a stranger would judge it: nothing wrong for those who cannot see it
// or have no mouse, in light and dark, on a phone, and never more script than agreed.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, fits } from "./axe.mjs";
import { browser, setUp, up } from "./site.mjs";
import { Machine, post, register } from "./simulate.mjs";

let site;
let chromium;
let context;
const now = Date.now();
const iso = (ms) => new Date(ms).toISOString();

before(async () => {
  chromium = await browser();
  site = await up();
  context = await chromium.newContext({ viewport: { width: 1400, height: 900 } });
  const page = await context.newPage();
  await setUp(page, site);
  await page.close();
  const machine = new Machine("web-1", 40);
  await register(site, "web-1");
  await post(
    site,
    "web-1",
    Array.from({ length: 120 }, (_, i) => machine.snapshot(now - 125_000 + i * 1000)),
  );
});

after(async () => {
  await chromium?.close();
  await site?.stop();
  site?.remove();
});

/** Each page, with what shows that it is complete. */
const pages = () => ({
  fleet: ["/", "table.fleet tbody a"],
  "a machine, live": ["/machines/web-1", "tr[data-pid]"],
  "a machine in the past, filtered": [
    `/machines/web-1?at=${now - 60_000}&filter=nginx&flat=true&sort=cpu&desc=true`,
    "tr[data-pid]",
  ],
  "a time of which nothing is known": ["/machines/web-1?at=1000", "text=There is nothing of that time."],
  "two instants": [`/machines/web-1/diff?from=${iso(now - 100_000)}&to=${iso(now - 20_000)}`, ".diff tr[data-pid]"],
  "a process": ["/machines/web-1/processes/2", ".family tr[data-pid]"],
  "a name": ["/processes/nginx?span=1h", ".match"],
  find: ["/find?q=nginx", ".match"],
  "find, nothing asked": ["/find", "text=What ran, where, and when?"],
  account: ["/account", "text=Where you are logged in"],
  users: ["/admin", "text=owner"],
  enrolment: ["/admin?tab=enrolment", "text=Add machines"],
  tokens: ["/admin?tab=tokens", "text=the test's"],
  storage: ["/admin?tab=storage", "text=process_samples"],
  audit: ["/admin?tab=audit", "table.audit tbody tr"],
  "no page": ["/nowhere", "text=There is nothing at this address."],
});

for (const [name, [route, selector]] of Object.entries(pages())) {
  test(`${name}: for everybody`, async () => {
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const faults = [];
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on(
      "console",
      (message) =>
        ["error", "warning"].includes(message.type()) && !/404/.test(message.text()) && faults.push(message.text()),
    );
    await page.goto(site.url + route);
    await page.locator(selector).first().waitFor();
    await accessible(page, `${name}, light`);
    await page.emulateMedia({ colorScheme: "dark" });
    await accessible(page, `${name}, dark`);
    await page.setViewportSize({ width: 390, height: 844 });
    await fits(page, name);
    await accessible(page, `${name}, on a phone`);
    assert.deepEqual(faults, []);
    await page.close();
  });
}

test("strangers' pages", async () => {
  const page = await (await chromium.newContext()).newPage();
  await page.goto(site.url);
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await accessible(page, "log-in");
  await page.goto(`${site.url}/setup`);
  await page.getByText("This link is not complete.").waitFor();
  await accessible(page, "set-up");
});

test("panels and dialogs", async () => {
  const page = await context.newPage();
  await page.goto(`${site.url}/machines/web-1`);
  await page.locator("tr[data-pid]").first().waitFor();
  for (const name of ["Filters", "Columns", "Any range", "Export range", "Export CPU", "Keys"]) {
    await page.getByRole("button", { name, exact: true }).click();
    await page.getByRole("dialog").waitFor();
    await accessible(page, name);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  }
});

test("the first load is at most 250 KB of script", async () => {
  const page = await context.newPage();
  await page.goto(`${site.url}/machines/web-1`);
  await page.locator("tr[data-pid]").first().waitFor();
  const loaded = await page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .filter((r) => r.name.endsWith(".js"))
      .map((r) => [r.encodedBodySize, r.decodedBodySize]),
  );
  const [sent, whole] = [0, 1].map((i) => loaded.reduce((sum, sizes) => sum + sizes[i], 0));
  assert.ok(whole > 300_000, `only ${whole} bytes of script were seen`);
  assert.ok(sent <= 250_000, `${sent} bytes of script`);
});
