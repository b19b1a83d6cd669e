import { expect, test } from "vitest";
import type { ProcessHistory } from "../../api/client";
import { unmeasured } from "./unmeasured";

const minute = 60_000;
const start = Date.parse("2026-11-23T03:00:00Z");

/** A history by minute with the number of machines that were measured. */
const history = (measured: (number | undefined)[]) => ({
  resolution: "1m" as const,
  machines: 3,
  points: measured.map((machines_measured, i) => ({
    timestamp: new Date(start + i * minute).toISOString(),
    machines_measured,
  })) as ProcessHistory["points"],
});
const inMinutes = (list: ReturnType<typeof unmeasured>) =>
  list.map(({ from, to, machines }) => [(from - start) / minute, (to - start) / minute, machines]);

test("times in which not all machines were measured", () => {
  const later = start + 60 * minute;
  expect(unmeasured(history([3, 3, 3]), later)).toEqual([]);
  expect(inMinutes(unmeasured(history([3, 2, 1, 3, 2, undefined]), later))).toEqual([
    [1, 3, 1],
    [4, 6, 0],
  ]);
  expect(unmeasured({ resolution: "1h", points: [] }, later)).toEqual([]);
});

test("the newest snapshots may not have arrived yet", () => {
  expect(inMinutes(unmeasured(history([2, 3, 3, 2, 2, 2]), start + 6 * minute))).toEqual([
    [0, 1, 2],
    [3, 4, 2],
  ]);
});
