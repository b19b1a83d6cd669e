import { expect, test } from "vitest";
import type { ProcessHistory } from "../../api/client";
import { widthOf } from "../../charts/spans";
import { unmeasured } from "./unmeasured";

const minute = 60_000;
const start = Date.parse("2026-11-23T03:00:00Z");

/** A history with the number of machines that were measured. There is no point where it is null. */
const history = (measured: (number | undefined | null)[], resolution: "1m" | "1h" | "1d" = "1m") => ({
  resolution,
  points: measured.flatMap((machines_measured, i) =>
    machines_measured === null
      ? []
      : [
          {
            timestamp: new Date(start + i * widthOf(resolution)).toISOString(),
            machines_measured,
            machines_expected: 3,
          },
        ],
  ) as ProcessHistory["points"],
});
const inMinutes = (list: ReturnType<typeof unmeasured>) =>
  list.map(({ from, to, measured }) => [(from - start) / minute, (to - start) / minute, measured]);

test("times in which not all machines were measured", () => {
  const later = start + 60 * minute;
  expect(unmeasured(history([3, 3, 3]), later)).toEqual([]);
  expect(inMinutes(unmeasured(history([3, 2, 1, 3, 2, undefined]), later))).toEqual([
    [1, 2, 2],
    [2, 3, 1],
    [4, 5, 2],
    [5, 6, 0],
  ]);
  expect(unmeasured({ resolution: "1h", points: [] }, later)).toEqual([]);
});

test("times without a point in which not all machines were measured", () => {
  const unmeasuredAt = (...minutes: number[]) =>
    minutes.map((i) => ({
      timestamp: new Date(start + i * minute).toISOString(),
      machines_measured: 2,
      machines_expected: 3,
    }));
  const later = start + 60 * minute;
  const found = (measured: (number | null)[], ...minutes: number[]) =>
    inMinutes(unmeasured({ ...history(measured), unmeasured: unmeasuredAt(...minutes) }, later));
  expect(found([3, null, null, null, 3], 1, 2)).toEqual([[1, 3, 2]]);
  expect(found([3, null, null, 1, 3], 1, 2)).toEqual([
    [1, 3, 2],
    [3, 4, 1],
  ]);
  expect(found([3, 3], 2, 3)).toEqual([[2, 4, 2]]);
});

test("a time is not interrupted by minutes in which the processes did not run", () => {
  const measured = [3, null, 2, null, null, 2, null, 1, null, 3, null, 2, null];
  expect(inMinutes(unmeasured(history(measured), start + 60 * minute))).toEqual([
    [2, 6, 2],
    [7, 8, 1],
    [11, 12, 2],
  ]);
});

test("a machine is not missing before its first data", () => {
  const times = [2, 2, 1, 2, 2, 3].map((measured, i) => ({
    timestamp: new Date(start + i * minute).toISOString(),
    machines_measured: measured,
    machines_expected: i < 4 ? 2 : 3,
  }));
  const points = times as ProcessHistory["points"];
  expect(unmeasured({ resolution: "1m", points }, start + 60 * minute)).toEqual([
    { from: start + 2 * minute, to: start + 3 * minute, measured: 1, expected: 2 },
    { from: start + 4 * minute, to: start + 5 * minute, measured: 2, expected: 3 },
  ]);
});

test("a time without any machine that is a part of a point", () => {
  const iso = (minutes: number) => new Date(start + minutes * minute).toISOString();
  const found = (...parts: ([number, number][] | undefined)[]) => {
    const points = parts.map((spans, i) => ({
      timestamp: iso(60 * i),
      machines_measured: 5,
      machines_expected: 5,
      measured: spans?.map(([from, to]) => ({ from: iso(from), to: iso(to) })),
    })) as ProcessHistory["points"];
    return inMinutes(unmeasured({ resolution: "1h", points }, start + 240 * minute));
  };
  expect(found(undefined, [[100, 120]])).toEqual([[60, 100, 0]]);
  expect(found([[0, 30]], [[100, 120]], undefined)).toEqual([[30, 100, 0]]);
  expect(found(undefined, [[60, 70], [75, 118]])).toEqual([[70, 75, 0]]); // prettier-ignore
  expect(found(undefined, [[60, 70]], undefined)).toEqual([[70, 120, 0]]);
  // The machines may have sent their first data then.
  expect(found([[20, 60]], undefined)).toEqual([]);
});

test("a machine that is away now is missing in a running bucket, once enough of it has passed", () => {
  const found = (resolution: "1h" | "1d", measured: number[], minutes: number) =>
    inMinutes(unmeasured(history(measured, resolution), start + minutes * minute));
  expect(found("1h", [3, 2], 90)).toEqual([[60, 90, 2]]);
  expect(found("1h", [3, 2], 72)).toEqual([[60, 72, 2]]);
  expect(found("1h", [3, 2], 71)).toEqual([]);
  expect(found("1h", [2, 2], 71)).toEqual([[0, 60, 2]]);
  expect(found("1h", [3, 2], 120)).toEqual([[60, 120, 2]]);
  expect(found("1h", [3, 3], 90)).toEqual([]);
  expect(found("1d", [1, 1], 1470)).toEqual([[0, 1470, 1]]);
});

test("the newest snapshots may not have arrived yet", () => {
  expect(inMinutes(unmeasured(history([2, 3, 3, 2, 2, 2]), start + 6 * minute))).toEqual([
    [0, 1, 2],
    [3, 4, 2],
  ]);
});
