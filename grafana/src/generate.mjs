// Writes dashboards/*.json. With --check it writes nothing, and fails if a file is stale.
import { readFile, writeFile } from "node:fs/promises";
import { fleet } from "./fleet.mjs";
import { health } from "./health.mjs";
import { machine } from "./machine.mjs";
import { processes } from "./processes.mjs";

const check = process.argv.includes("--check");
let stale = 0;
for (const [name, builder] of Object.entries({ fleet, machine, processes, health })) {
  const file = new URL(`../dashboards/${name}.json`, import.meta.url);
  const text = `${JSON.stringify(numbered(builder.build()), null, 2)}\n`;
  if (!check) await writeFile(file, text);
  else if ((await readFile(file, "utf8").catch(() => "")) !== text) {
    console.error(`grafana/dashboards/${name}.json is stale: run make generate`);
    stale++;
  }
}
process.exitCode = stale ? 1 : 0;

/** Gives each panel a fixed number, so that links to it stay valid. @param {any} page */
function numbered(page) {
  page.panels.forEach((/** @type {any} */ panel, /** @type {number} */ i) => {
    panel.id = i + 1;
  });
  return page;
}
