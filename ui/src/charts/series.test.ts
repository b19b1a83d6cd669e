import { expect, test } from "vitest";
import type { MachineChart } from "../api/client";
import { appendLive, levels, rates, summary, tableOf } from "./series";

test("rates", () => expect(rates([10, null, 30], [5000, 5000, 0])).toEqual([2, null, null]));

test("a rate is level in an interval that is longer than those beside it", () => {
  const values = [0, 0, 3, 1, 0];
  expect(levels([0, 5, 107, 112, 117], [5000, 5000, 102_000, 5000, 5000], [values])).toEqual({
    x: [0, 5, 5.001, 107, 112, 117],
    lines: [[0, 0, 3, 3, 1, 0]],
  });
  // The first interval is longer than the second one. The last one begins before the clock was set back.
  expect(levels([60, 65, 70], [60_000, 5000, 20_000], [[1, 2, 3]])).toEqual({
    x: [0.001, 60, 65, 65.001, 70],
    lines: [[1, 1, 2, 3, 3]],
  });
  for (const [intervals, line] of [
    [[60_000, 60_000, 60_000], values],
    [
      [5000, 102_000, 0],
      [null, null, 3],
    ],
    [[0, 102_000, 0], values],
  ] as const) {
    const lines = [line.slice(0, 3)];
    expect(levels([0, 102, 107], intervals, lines)).toEqual({ x: [0, 102, 107], lines });
  }
});

test("values that leave out unknown ones begin with ≥ and are marked in the table", () => {
  const known = { x: [0, 60], lines: [[1, 3]] };
  const some = { ...known, unknown: [0, 2] };
  const format = (value: number | null) => `${value} %`;
  expect(summary(["CPU"], known, format)).toBe("CPU: latest 3 %, at most 3 %");
  expect(summary(["CPU"], some, format)).toBe("CPU: latest ≥\u00a03 %, maximum ≥\u00a03 %");
  expect(summary(["CPU"], { ...known, lines: [[null, null]] }, format)).toBe("CPU: no data");
  const rows = [
    ["1970-01-01T00:00:00.000Z", 1],
    ["1970-01-01T00:01:00.000Z", 3],
  ];
  expect(tableOf(["CPU"], known)).toEqual([["time", "CPU"], rows]);
  expect(tableOf(["CPU"], some)).toEqual([["time", "CPU", "unknown processes"], rows.map((row, i) => [...row, 2 * i])]);
});

const chart = {
  timestamps: ["2026-11-23T03:12:00.000Z"],
  interval_ms: [1000],
  read_ms: [1000],
  write_ms: [1000],
  received_ms: [1000],
  sent_ms: [1000],
  cpu_usage_avg: [5],
  cpu_usage_max: [5],
  load1_avg: [1],
  load5_avg: [1],
  load15_avg: [1],
  used_ram_avg: [1],
  cached_ram_avg: [1],
  shared_ram_avg: [1],
  buffers_ram_avg: [1],
  slab_ram_avg: [1],
  total_ram: [2],
  used_swap_avg: [null],
  total_swap: [null],
  used_disk_avg: [1],
  total_disk: [2],
  read_bytes: [1],
  write_bytes: [1],
  received_bytes: [1],
  sent_bytes: [1],
} as unknown as MachineChart;

test("live snapshots extend a chart", () => {
  const metrics = {
    cpu_usage: 7,
    cached_ram: 9,
    disks: [
      { mount: "/", read_bytes: 3 },
      { mount: "/data", read_bytes: 4 },
    ],
    interfaces: [
      { name: "lo", sent_bytes: 100 },
      { name: "eth0", sent_bytes: 6 },
    ],
  };
  expect(
    appendLive(chart, "2026-11-23T02:12:01.000Z", [
      { timestamp: "2026-11-23T03:12:01.000Z", intervalMs: 1000, metrics },
    ]).cached_ram_avg,
  ).toEqual([1, 9]);
  const out = appendLive(chart, "2026-11-23T02:12:01.000Z", [
    { timestamp: "2026-11-23T03:12:00.000Z", intervalMs: 1000, metrics },
    { timestamp: "2026-11-23T03:12:01.000Z", intervalMs: 1000, metrics },
  ]);
  expect([out.timestamps.length, out.cpu_usage_avg, out.read_bytes, out.write_bytes, out.sent_bytes]).toEqual([
    2,
    [5, 7],
    [1, 7],
    [1, null],
    [1, 6],
  ]);
  expect(chart.timestamps).toHaveLength(1);
  expect(appendLive(chart, "2026-11-23T02:12:01.000Z", [])).toBe(chart);
});
test("a live snapshot from before the range of a chart is not in it", () => {
  const old = { timestamp: "2026-11-23T03:12:01.000Z", intervalMs: 1000, metrics: { cpu_usage: 25 } };
  const empty = { ...chart, timestamps: [], cpu_usage_avg: [] };
  expect(appendLive(empty, "2026-11-23T04:12:00Z", [old])).toBe(empty);
});
test("interfaces that are not part of the totals add nothing", () => {
  const sent = (interfaces: { name: string; sent_bytes?: number; in_total?: boolean }[]) =>
    appendLive(chart, "2026-11-23T02:12:01.000Z", [
      { timestamp: "2026-11-23T03:12:01.000Z", intervalMs: 1000, metrics: { interfaces } },
    ]).sent_bytes[1];
  const bridge = { name: "br0", sent_bytes: 26, in_total: false };
  expect(sent([{ name: "eth0", sent_bytes: 26, in_total: true }, bridge])).toBe(26);
  expect(sent([bridge])).toBe(0);
  expect(sent([{ name: "eth0", in_total: true }])).toBeNull();
});
