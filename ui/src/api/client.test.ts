import { describe, expect, it, test, vi } from "vitest";
import { ApiError, client, fieldError, shouldRetry } from "./client";

test("requests go to the server's base path", async () => {
  const fetch = vi.fn((request: Request) => Promise.resolve(new Response(JSON.stringify({ url: request.url }))));
  await client.GET("/api/v1/me", { fetch });
  expect(fetch.mock.calls[0]?.[0].url).toBe("http://snapwatch.test/tools/snapwatch/api/v1/me");
});

describe("faultOf", () => {
  const error = new ApiError(422, {
    detail: "password must have at least 12 characters.",
    field: "password",
    errors: [{ field: "password", message: "must have at least 12 characters" }],
  });
  it("returns the message about the field, and undefined for other fields and errors", () => {
    expect(fieldError(error, "password")).toBe("This must have at least 12 characters.");
    expect(fieldError(error, "name")).toBeUndefined();
    expect(fieldError(new Error("no answer"), "password")).toBeUndefined();
    expect(fieldError(null, "password")).toBeUndefined();
  });
});

test("server errors, network errors and the rate limit are retried three times, other client errors never", () => {
  const error = (status: number) => new ApiError(status, {});
  expect([500, 503, 429].map((status) => shouldRetry(2, error(status)))).toEqual([true, true, true]);
  expect(shouldRetry(2, new TypeError("Failed to fetch"))).toBe(true);
  expect([401, 403, 404, 422].map((status) => shouldRetry(0, error(status)))).toEqual([false, false, false, false]);
  expect(shouldRetry(3, error(500))).toBe(false);
});
