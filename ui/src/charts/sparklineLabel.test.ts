import { expect, test } from "vitest";
import { sparklineLabel } from "./sparklineLabel";

test("the label of a sparkline", () => {
  expect(sparklineLabel("Load", [null, 0.5, 2], (n) => n.toFixed(2))).toBe("Load: at most 2.00");
  expect(sparklineLabel("Load", [null, 0], (n) => n.toFixed(2))).toBe("Load: at most 0.00");
  expect(sparklineLabel("Load", [null, null], (n) => n.toFixed(2))).toBe("Load: no data");
  expect(sparklineLabel("Load", [], (n) => n.toFixed(2))).toBe("Load: no data");
});
