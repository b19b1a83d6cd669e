import { expect, test } from "vitest";
import { csv, fileName } from "./export";

test("CSV quotes special characters and contains no formulas", async () => {
  const rows = [
    ["plain", 1.5, null],
    ['say "a, b"', -2, undefined],
    ["=SUM(A1)", 0, "-x"],
  ];
  expect(await csv(["name", "n", "more"], rows).text()).toBe(
    'name,n,more\r\nplain,1.5,\r\n"say ""a, b""",-2,\r\n\'=SUM(A1),0,\'-x\r\n',
  );
});
test("file names", () => expect(fileName("web/1", "CPU %", "csv")).toBe("web_1-CPU_-csv"));
