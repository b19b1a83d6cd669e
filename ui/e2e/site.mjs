// A whole snapwatch for browser tests: `snapwatch up` on a directory of its own,
// and a headless Chromium.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const program = fileURLToPath(new URL("../../bin/snapwatch", import.meta.url));

/** Starts `snapwatch up`; dir and port may be those of an earlier one. */
export async function up({ dir = freshDir(), listen = "127.0.0.1:0" } = {}) {
  const child = spawn(program, ["up", "--listen", listen, "--data-dir", dir], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, DATABASE_URL: "" }, cwd: dir });
  const log = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), once(child, "exit").then(() => ({ done: true }))]);
  const url = first.value?.match(/is up: (http:\S+)$/)?.[1];
  if (!url) throw new Error(`snapwatch did not come up:\n${log.join("\n")}`);
  return {
    url,
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
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** Asks the API. */
export async function api(site, route, init) {
  const response = await fetch(site.url + route, init);
  if (!response.ok) throw new Error(`${route}: ${response.status} ${await response.text()}`);
  return response.json();
}

export const patch = (site, machineId, change) =>
  api(site, `/api/v1/machines/${machineId}`, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify(change) });

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
  const list = await until("a machine with a snapshot", async () => (await api(site, "/api/v1/machines")).results.find((m) => m.last_snapshot));
  return list.machine_id;
}
