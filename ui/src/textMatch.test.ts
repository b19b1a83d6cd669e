import { expect, test } from "vitest";
import { textMatch } from "./textMatch";

test.each([
  ["", "anything", true],
  ["NGINX", "/usr/sbin/nginx", true],
  ["žluťoučký", "/opt/ŽLUŤOUČKÝ.exe", true],
  ["οδοσ", "ΟΔΟς", true],
  ["ΟΔΟΣ", "οδος", true],
  ["straße", "STRAẞE", true],
  ["straße", "STRASSE", false],
  ["i", "İ", false],
  ["a.c", "abc", false],
  ["\\[a-z]{2}(x|y)*+?^$/-", "is \\[a-z]{2}(x|y)*+?^$/-", true],
])("%j in %j: %s", (wanted, text, matches) => expect(textMatch(wanted)(text)).toBe(matches));
