// Starts what browser tests need: `snapwatch up` with a data directory of its own, and headless Chromium.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { test as nodeTest } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const program = fileURLToPath(new URL("../../bin/snapwatch", import.meta.url));

/**
 * How long to wait for a page, an element or a condition, in milliseconds. It only ends tests that hang:
 * a slow machine makes the tests slower, but must not make them fail. Set E2E_TIMEOUT to find out sooner where
 * a test hangs.
 */
const patience = Number(process.env.E2E_TIMEOUT ?? 600_000);

let failedTest;

/**
 * Defines a test. The tests of a file share a server and a page, so once one has failed, the later ones fail at once.
 * Otherwise each could wait for a page in a state that it never reaches, until its time is up.
 */
export function test(name, run) {
  nodeTest(name, async () => {
    if (failedTest) throw new Error(`not run, because "${failedTest}" failed`);
    try {
      await run();
    } catch (error) {
      failedTest = name;
      throw error;
    }
  });
}

/** The pause between two checks of a condition, in milliseconds. */
const pause = 100;

/**
 * Starts `snapwatch up`, or `snapwatch serve` without an agent. dir and listen can be those of an earlier
 * server. The request rate limit is high, so that no test depends on how fast it sends requests.
 */
export async function startServer({ dir = newDirectory(), listen = "127.0.0.1:0", env = {}, agent = true } = {}) {
  const settings = { DATABASE_URL: "", SNAPWATCH_LOG_LEVEL: "debug", SNAPWATCH_REQUEST_RATE: "10000", ...env };
  const child = spawn(program, [agent ? "up" : "serve", "--listen", listen, "--data-dir", dir], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...settings },
    cwd: dir,
  });
  const log = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    log.push(line);
    const folder = process.env.SNAPWATCH_TEST_LOGS;
    if (folder) appendFileSync(path.join(folder, `e2e-${process.pid}.log`), `${line}\n`);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), once(child, "exit").then(() => ({ done: true }))]);
  const url = first.value?.match(/is up: (http:\S+)$/)?.[1];
  if (!url) throw new Error(`snapwatch did not start:\n${log.join("\n")}`);
  const run = (...args) =>
    execFileSync(program, [...args, "--data-dir", dir], {
      encoding: "utf8",
      env: { ...process.env, DATABASE_URL: "" },
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
  let setupLink;
  return {
    url,
    /** The API token of an administrator. */
    token: run("token", "add", "browser tests", "--role", "admin"),
    /** Returns the link to create the first account. The server prints it while there is none. */
    async setupLink() {
      while (!setupLink) {
        const { value, done } = await lines.next();
        if (done) throw new Error("the server printed no setup link");
        setupLink = value.match(/http\S+\/setup#\S+/)?.[0];
      }
      return setupLink;
    },
    dir,
    child,
    log,
    listen: new URL(url).host,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGINT");
        await once(child, "exit");
      }
    },
    async kill() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

function newDirectory() {
  const dir = mkdtempSync(path.join(tmpdir(), "snapwatch-e2e-"));
  chmodSync(dir, 0o755); // PostgreSQL runs as another user if the tests run as root.
  return dir;
}

/** The headless shell needs a third less CPU time than the browser. */
const chromiums = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"];

/** Starts Chromium without the connections that it opens by itself. */
export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? chromiums.find(existsSync),
    timeout: patience,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Opens a browser profile whose pages wait for as long as needed. */
export async function newContext(browser, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patience);
  return context;
}

/** Opens a page in a new browser profile. */
export const newPage = async (browser, options) => (await newContext(browser, options)).newPage();

/** Collects the errors of a page, except console messages that match the pattern. */
export function collectErrors(page, errors, expected) {
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !expected.test(message.text())) errors.push(message.text());
  });
}

/** Sends a request to the API and returns the JSON response. A body is sent as JSON. */
export async function api(site, route, { method = "GET", body } = {}) {
  const response = await fetch(site.url + route, {
    method,
    headers: { Authorization: `Bearer ${site.token}`, ...(body && { "Content-Type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Changes the settings of a machine. */
export const patchMachine = (site, machineId, body) =>
  api(site, `/api/v1/machines/${machineId}`, { method: "PATCH", body });

export const addUser = (site, name, tags) =>
  api(site, "/api/v1/users", { method: "POST", body: { name, password: owner.password, tags } });

/** The first account of a server. */
export const owner = { name: "owner", password: "correct horse battery" };

/** Creates the first account with the setup link. The page is then signed in. */
export async function setUp(page, site) {
  await page.goto(await site.setupLink());
  await fillSetupForm(page, owner);
  await page.getByRole("heading", { name: "Machines" }).waitFor();
}

export async function fillSetupForm(page, { name, password }) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByLabel("Confirm password").fill(password);
  await page.getByRole("button", { name: "Create account" }).click();
}

/** Submits the sign-in form. */
export async function signIn(page, { name, password }) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

/** Checks a condition until it returns a truthy value, and returns that value. */
export async function until(what, condition) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Returns the id of the machine on which the tests run, once it has a snapshot. */
export async function localMachine(site) {
  const machine = await until("a machine with a snapshot", async () => {
    const { results } = await api(site, "/api/v1/machines");
    return results.find((m) => m.last_snapshot);
  });
  return machine.machine_id;
}

/** The name of the parent that startFamily starts. No other process has it. */
export const parentName = "e2e-parent";

/** Starts a process with a child that sleeps. Returns both pids, and a function that ends both. */
export async function startFamily(site, seconds) {
  const script = path.join(site.dir, parentName);
  writeFileSync(script, `#!/bin/sh\nsleep ${seconds} & echo $!; wait\n`, { mode: 0o755 });
  const parent = spawn(script, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(parent, "exit");
  const [text] = await once(parent.stdout, "data");
  const child = Number(String(text).trim());
  const end = async () => {
    parent.kill();
    process.kill(child);
    await exited;
  };
  return { parent: parent.pid, child, end };
}
