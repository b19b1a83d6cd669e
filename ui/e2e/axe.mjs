// WCAG 2.2 AA, as far as a program can tell, of the page as it is shown.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails with what axe finds, each with where it is. */
export async function accessible(page, what) {
  await page.evaluate(source); // the page's policy has no say in this: it goes through the debugger
  const violations = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .slice(0, 3)
          .map((node) => `${node.target} ${node.any.concat(node.all, node.none)[0]?.message ?? ""}`)
          .join(" | ")}`,
    );
  });
  assert.deepEqual(violations, [], what);
}

/** Fails if the page is wider than the screen. */
export async function fits(page, what) {
  const [width, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(width <= screen, `${what}: ${width} pixels wide, on a screen of ${screen}`);
}
