import { expect, test } from "vitest";
import { excerpts } from "./excerpts";

test.each([
  ["sh -c job", "sh -c jobs", "sh -c job", "sh -c jobs"],
  ["", "/system.slice/app.service", "", "/system.slice/app.service"],
  [
    "/usr/lib/jvm/java-21/bin/java -server -Xmx4g -jar app.jar",
    "/usr/lib/jvm/java-21/bin/java -server -Xmx8g -jar app.jar",
    "… -server -Xmx4g -jar app.jar",
    "… -server -Xmx8g -jar app.jar",
  ],
  [
    "/usr/lib/jvm/java-21/bin/java -server",
    "/usr/lib/jvm/java-21/bin/java -server -v",
    "/usr/lib/jvm/java-21/bin/java -server",
    "/usr/lib/jvm/java-21/bin/java -server -v",
  ],
  [
    "a/long/path/without/spaces/one",
    "a/long/path/without/spaces/two",
    "a/long/path/without/spaces/one",
    "a/long/path/without/spaces/two",
  ],
  ["x".repeat(30) + " b c", "x".repeat(30) + " b c d", "… b c", "… b c d"],
])("%s and %s", (before, after, ...want) => expect(excerpts(before, after)).toEqual(want));
