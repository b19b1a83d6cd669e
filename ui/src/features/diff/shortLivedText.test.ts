import { expect, test } from "vitest";
import type { MachineDiff } from "../../api/client";
import { dateTime } from "../../format";
import { shortLivedText } from "./shortLivedText";

type Sum = MachineDiff["short_lived"];

const none: Sum = { processes: 0, cpu_ms: null, read_bytes: null, write_bytes: null };
const some: Sum = { processes: 5200, cpu_ms: 12_300, read_bytes: 4096, write_bytes: 0 };

const textOf = (sum: Sum, lacks: { listed: number; from?: string } = { listed: sum.processes }) =>
  shortLivedText({
    short_lived: sum,
    ...(lacks.from && { short_lived_from: lacks.from }),
    passed: Array.from({ length: lacks.listed }),
    totals: { passed: sum.processes },
  } as MachineDiff);

const start =
  "5,200 processes started and ended between two snapshots." +
  " Together, they used 12.3 s of CPU time, read 4.0 KiB and wrote 0 B.";

test("without short-lived processes there is nothing to say", () => expect(textOf(none)).toBe(undefined));

test("the sum of the short-lived processes", () => {
  expect(textOf(some)).toBe(start);
  expect(textOf({ ...none, processes: 1, cpu_ms: 0.5 })).toBe(
    "1 process started and ended between two snapshots. It used 0.5 ms of CPU time.",
  );
});

test.each([
  [12, 0, " CPU time is unknown for 12 of them."],
  [0, 5200, " I/O is unknown for all of them."],
  [3, 3, " CPU time and I/O are unknown for 3 of them."],
  [1, 2, " CPU time is unknown for 1 of them, and I/O for 2 of them."],
])("unknown CPU of %s and I/O of %s", (unknown_cpu_processes, unknown_io_processes, want) =>
  expect(textOf({ ...some, unknown_cpu_processes, unknown_io_processes })).toBe(start + want),
);

test("nothing is known of what they used", () =>
  expect(textOf({ ...none, processes: 2, unknown_cpu_processes: 2, unknown_io_processes: 2 })).toBe(
    "2 processes started and ended between two snapshots. CPU time and I/O are unknown for all of them.",
  ));

test("what the list lacks", () => {
  const from = "2026-11-20T00:00:00Z";
  const cut = " The list has the 1,000 with the most CPU time.";
  const expired = ` Those before ${dateTime(from)} have expired and are only in these sums.`;
  expect(textOf(some, { listed: 1000 })).toBe(start + cut);
  expect(textOf(some, { listed: 0, from })).toBe(start + expired);
  expect(textOf(some, { listed: 5000, from })).toBe(
    `${start + expired} Of the others, the list has the 5,000 with the most CPU time.`,
  );
  expect(textOf(some, { listed: 900, from })).toBe(start + expired);
});
