import { expect, test } from "vitest";
import type { Process } from "./process";
import { unlistedCpu } from "./unlistedCpu";

const using = (...usages: (number | null)[]) =>
  usages.map(
    (cpu_usage, i) => ({ pid: i + 1, cpu_usage, cpu_ms: cpu_usage === null ? null : 10 * cpu_usage }) as Process,
  );
const ended = { processes: 12, cpu_ms: 980, cpu_usage: 98 };

test("the rest of the CPU usage is that of no process", () => {
  expect(unlistedCpu({ cpu_usage: 52 }, 2, using(1.5, 1.5), ended, 1000)).toEqual({ ended, rest: 3, unknown: 0 });
});
test("the number of cores at that time comes before the number now", () => {
  expect(unlistedCpu({ cpu_usage: 50, cores: [100, 0] }, 8, using(60), undefined, 1000).rest).toBe(40);
});
test("the rest is never negative", () => {
  expect(unlistedCpu({ cpu_usage: 10 }, 1, using(12), undefined, 1000).rest).toBe(0);
});
test("the rest is unknown if the usage of the machine or of all processes is", () => {
  expect(unlistedCpu({ cpu_usage: null }, 2, using(1), ended, 1000).rest).toBeNull();
  expect(unlistedCpu({}, 2, using(1), ended, 1000).rest).toBeNull();
  expect(unlistedCpu({ cpu_usage: 5 }, undefined, using(1), ended, 1000).rest).toBeNull();
  expect(unlistedCpu({ cpu_usage: 5 }, 2, using(null, null), ended, 1000).rest).toBeNull();
});
test("the rest includes processes whose usage is unknown", () => {
  const some = unlistedCpu({ cpu_usage: 5 }, 2, using(null, 4, null), undefined, 1000);
  expect([some.rest, some.unknown]).toEqual([6, 2]);
  const gone = unlistedCpu({ cpu_usage: 5 }, 2, using(4), { processes: 3, cpu_ms: null, cpu_usage: null }, 1000);
  expect([gone.rest, gone.unknown]).toEqual([6, 3]);
  const partly = { processes: 12, cpu_ms: 720, cpu_usage: 72, unknown: 3 };
  const rest = unlistedCpu({ cpu_usage: 50 }, 4, using(0, null), partly, 1000);
  expect([rest.rest, rest.unknown]).toEqual([128, 4]);
});
test("small processes are added before they are rounded", () => {
  const sleepers = using(...Array.from({ length: 3813 }, () => 0.02)).map((one) => ({ ...one, cpu_ms: 10 }));
  expect(unlistedCpu({ cpu_usage: 50 }, 4, sleepers, undefined, 60_000).rest).toBeCloseTo(200 - 63.55, 6);
});
