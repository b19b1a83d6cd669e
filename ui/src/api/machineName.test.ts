import { expect, test } from "vitest";
import { machineName } from "./machineName";

const machine = (hostname: string, shared = false) => ({ hostname, hostname_shared: shared });

test("a machine has its host name, or its id without one", () => {
  expect(machineName(machine("web"), "0123abcd456789abcdef0123456789ab")).toBe("web");
  expect(machineName(machine("", true), "m-1")).toBe("m-1");
  expect(machineName(undefined, "m-1")).toBe("m-1");
});

test("machines with one host name differ by a part of the id", () => {
  expect(machineName(machine("web", true), "0123abcd456789abcdef0123456789ab")).toBe("web (0123abcd)");
  expect(machineName(machine("web", true), "0123abcd-4567-4abc-8def-0123456789ab")).toBe("web (0123abcd)");
  // The first characters of these ids may be equal.
  expect(machineName(machine("web", true), "production-2")).toBe("web (production-2)");
  expect(machineName(machine("web", true), "0197a0b1-4567-7abc-8def-0123456789ab")).toBe(
    "web (0197a0b1-4567-7abc-8def-0123456789ab)",
  );
});
