// Checks a page against WCAG 2.2 AA with axe.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const colorRules = ["color-contrast", "link-in-text-block"];

/**
 * The rules to check: all of them, those that depend on the colors, or the others. The colors are the
 * same on every screen, and the structure is the same in every color scheme.
 */
const options = {
  all: { runOnly: tags },
  colors: { runOnly: { type: "rule", values: colorRules } },
  structure: { runOnly: tags, rules: Object.fromEntries(colorRules.map((rule) => [rule, { enabled: false }])) },
};

/** Fails with the violations that axe finds on a page, or in the element that a selector matches. */
export async function assertAccessible(page, what, rules = "all", selector = "html") {
  // The page's Content-Security-Policy does not apply to scripts of the debugger.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(source);
  const violations = await page.evaluate(
    async ([selector, options]) => {
      const { violations } = await window.axe.run(selector, { ...options, resultTypes: ["violations"] });
      const describe = ({ target, any, all, none }) => `${target} ${[...any, ...all, ...none][0]?.message ?? ""}`;
      return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(describe).join(" | ")}`);
    },
    [selector, options[rules]],
  );
  assert.deepEqual(violations, [], what);
}

/** Fails if the page is wider than the screen. */
export async function assertFits(page, what) {
  const [width, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(width <= screen, `${what}: ${width} pixels wide, on a screen of ${screen}`);
}
