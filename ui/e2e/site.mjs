// A whole snapwatch for browser tests: `snapwatch up` on a directory of its own,
// and a headless Chromium.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const program = fileURLToPath(new URL("../../bin/snapwatch", import.meta.url));

/** Starts `snapwatch up`, or without an agent `snapwatch serve`; dir and port may be those of an earlier one. */
export async function up({ dir = freshDir(), listen = "127.0.0.1:0", env = {}, agent = true } = {}) {
  const child = spawn(program, [agent ? "up" : "serve", "--listen", listen, "--data-dir", dir], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DATABASE_URL: "", SNAPWATCH_LOG_LEVEL: "debug", ...env },
    cwd: dir,
  });
  const log = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    log.push(line);
    if (process.env.SNAPWATCH_TEST_LOGS)
      appendFileSync(path.join(process.env.SNAPWATCH_TEST_LOGS, `e2e-${process.pid}.log`), `${line}\n`);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), once(child, "exit").then(() => ({ done: true }))]);
  const url = first.value?.match(/is up: (http:\S+)$/)?.[1];
  if (!url) throw new Error(`snapwatch did not come up:\n${log.join("\n")}`);
  const shell = (...args) =>
    execFileSync(program, [...args, "--data-dir", dir], {
      encoding: "utf8",
      env: { ...process.env, DATABASE_URL: "" },
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
  return {
    url,
    /** An administrator's token, made as one would. */
    token: shell("token", "add", "the test's", "--role", "admin"),
    /** The link to make the first user, which is printed when there is none. */
    async setupLink() {
      for await (const line of lines) {
        const link = line.match(/http\S+\/setup#\S+/)?.[0];
        if (link) return link;
      }
      throw new Error("no set-up link was printed");
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

function freshDir() {
  const dir = mkdtempSync(path.join(tmpdir(), "snapwatch-e2e-"));
  chmodSync(dir, 0o755); // run by root, PostgreSQL's own user must pass through
  return dir;
}

/** A browser without the connections that Chromium makes by itself. */
export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
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

/** Asks the API. */
export async function api(site, route, init) {
  const response = await fetch(site.url + route, {
    ...init,
    headers: { Authorization: `Bearer ${site.token}`, ...init?.headers },
  });
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response.json();
}

export const patch = (site, machineId, change) =>
  api(site, `/api/v1/machines/${machineId}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(change),
  });

/** The first user of a site. */
export const owner = { name: "owner", password: "correct horse battery" };

/** Follows the set-up link as its finder would, and begins. */
export async function setUp(page, site) {
  await page.goto(await site.setupLink());
  await page.getByLabel("Name").fill(owner.name);
  await page.getByLabel("Password", { exact: true }).fill(owner.password);
  await page.getByLabel("Password again").fill(owner.password);
  await page.getByRole("button", { name: "Begin" }).click();
  await page.getByRole("heading", { name: "Machines" }).waitFor();
}

/** Logs in on the page that asks for it. */
export async function logIn(page, { name, password }) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
}

/** Asks until the answer is truthy. */
export async function until(what, ask, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`never came true within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** This machine, once it has reported. */
export async function thisMachine(site) {
  const list = await until("a machine with a snapshot", async () =>
    (await api(site, "/api/v1/machines")).results.find((m) => m.last_snapshot),
  );
  return list.machine_id;
}
