import { expect, test } from "vitest";
import { diskUsage, diskUsages } from "./diskUsage";

test("the usage is that of df: reserved space is neither used nor available", () => {
  expect(diskUsage({ mount: "/", total: 100, used: 40, available: 40 })).toBe(50);
  expect(diskUsage({ mount: "/", total: 100, used: 40 })).toBe(40);
  expect(diskUsage({ mount: "/", total: 0, used: 0 })).toBeNull();
  expect(diskUsage({ mount: "/" })).toBeNull();
});
test("the fullest disks come first, after those that do not answer", () => {
  const disks = [
    { mount: "/", total: 10, used: 1 },
    { mount: "/data", total: 10, used: 9 },
    { mount: "/nas", total: 10, used: 5 },
    { mount: "/new" },
  ];
  expect(diskUsages(disks, ["/nas"]).map(({ disk, isStale }) => [disk.mount, isStale])).toEqual([
    ["/nas", true],
    ["/data", false],
    ["/", false],
    ["/new", false],
  ]);
});
