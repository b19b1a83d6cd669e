import { expect, test } from "vitest";
import { machinesOf } from "./machinesOf";

const from = "2026-11-26T09:00:00.000Z";
const match = (machine_id: string, ...latest: string[]) => ({
  machine_id,
  usages: latest.map((latest_sample) => ({ latest_sample })),
});

test("a machine on which the processes had ended at the start of the range has no gaps in a chart", () => {
  const results = [
    match("ended", "2026-11-26T08:59:30.000Z", from),
    match("ran", "2026-11-26T08:59:30.000Z", "2026-11-26T09:00:30.000Z"),
  ];
  expect(machinesOf({ from, next_cursor: null, results })).toEqual(["ran"]);
});

test("the machines of a list that was cut are not known", () => {
  expect(machinesOf({ from, next_cursor: "x", results: [match("ran", "2026-11-26T09:00:30.000Z")] })).toEqual([]);
  expect(machinesOf(undefined)).toEqual([]);
});
