import { describe, expect, test } from "vitest";
import { exitFilterLabel, exitFilters, exitText, parseExitFilter } from "./exitStatus";

describe("an exit status", () => {
  test.each([
    [{ exit_code: 0 }, "exit code 0"],
    [{ exit_code: 255 }, "exit code 255"],
    [{ exit_signal: 1 }, "signal 1 (SIGHUP)"],
    [{ exit_signal: 9 }, "signal 9 (SIGKILL)"],
    [{ exit_signal: 15 }, "signal 15 (SIGTERM)"],
    [{ exit_signal: 31 }, "signal 31 (SIGSYS)"],
    [{ exit_signal: 34 }, "signal 34"],
    [{}, undefined],
  ])("%o", (status, text) => expect(exitText(status)).toBe(text));
});

describe("a filter", () => {
  test.each([
    ["ok", "ok", "Exit code 0"],
    ["failed", "failed", "Failed: other exit codes and signals"],
    ["signal", "signal", "Any signal"],
    ["code:3", "code:3", "Exit code 3"],
    ["code:255", "code:255", "Exit code 255"],
    ["signal:9", "signal:9", "Signal 9 (SIGKILL)"],
    ["signal:KILL", "signal:9", "Signal 9 (SIGKILL)"],
    ["signal:sigsegv", "signal:11", "Signal 11 (SIGSEGV)"],
    ["signal:40", "signal:40", "Signal 40"],
  ])("%s", (text, filter, label) => {
    expect(parseExitFilter(text)).toBe(filter);
    expect(exitFilterLabel(filter)).toBe(label);
  });
  test.each(["", "bad", "code", "code:", "code:256", "code:-1", "code:x", "signal:", "signal:0", "signal:128"])(
    "%s is invalid",
    (text) => expect(parseExitFilter(text)).toBeUndefined(),
  );
  test.each(["signal:SIG", "signal:NONE", "signal:-", "ok:1"])("%s is invalid", (text) =>
    expect(parseExitFilter(text)).toBeUndefined(),
  );
  test("that can be chosen is valid", () => {
    for (const [filter] of exitFilters) expect(parseExitFilter(filter)).toBe(filter);
  });
});
