import { expect, test } from "vitest";
import type { Process } from "./process";
import { unlistedCpu } from "./unlistedCpu";

const using = (...usages: (number | null)[]) => usages.map((cpu_usage, i) => ({ pid: i + 1, cpu_usage }) as Process);
const ended = { processes: 12, cpu_ms: 980, cpu_usage: 98 };

test("the rest of the CPU usage is that of no process", () => {
  expect(unlistedCpu({ cpu_usage: 52 }, 2, using(1.5, 1.5), ended)).toEqual({ ended, rest: 3, unknown: 0 });
});
test("the number of cores at that time comes before the number now", () => {
  expect(unlistedCpu({ cpu_usage: 50, cores: [100, 0] }, 8, using(60), undefined).rest).toBe(40);
});
test("the rest is never negative", () => {
  expect(unlistedCpu({ cpu_usage: 10 }, 1, using(12), undefined).rest).toBe(0);
});
test("the rest is unknown if the usage of the machine or of all processes is", () => {
  expect(unlistedCpu({ cpu_usage: null }, 2, using(1), ended).rest).toBeNull();
  expect(unlistedCpu({}, 2, using(1), ended).rest).toBeNull();
  expect(unlistedCpu({ cpu_usage: 5 }, undefined, using(1), ended).rest).toBeNull();
  expect(unlistedCpu({ cpu_usage: 5 }, 2, using(null, null), ended).rest).toBeNull();
});
test("the rest includes processes whose usage is unknown", () => {
  const some = unlistedCpu({ cpu_usage: 5 }, 2, using(null, 4, null), undefined);
  expect([some.rest, some.unknown]).toEqual([6, 2]);
  const gone = unlistedCpu({ cpu_usage: 5 }, 2, using(4), { processes: 3, cpu_ms: 0, cpu_usage: null });
  expect([gone.rest, gone.unknown]).toEqual([6, 3]);
});
