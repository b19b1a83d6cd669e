import { expect, test } from "vitest";
import type { Process } from "../../../processes/process";
import { processHref } from "./processHref";

test("the address of a process is below the base path", () => {
  const process = { pid: 7, started_at: "2026-01-01T00:00:00Z" } as Process;
  expect(processHref("web 1", process, undefined)).toBe(
    "/tools/snapwatch/machines/web%201/processes/7?started=2026-01-01T00%3A00%3A00Z",
  );
});
