import { QueryClient } from "@tanstack/react-query";
import { expect, test } from "vitest";
import { replaceQueryData } from "./queryData";

test("an earlier request does not replace newer data", async () => {
  const queries = new QueryClient();
  const queryKey = ["machines", "web-1"];
  queries.setQueryData(queryKey, "old");
  const requests: ((answer: string) => void)[] = [];
  const queryFn = () => new Promise<string>((resolve) => requests.push(resolve));
  const result = queries.query({ queryKey, queryFn }).catch(() => "cancelled");
  expect(requests).toHaveLength(1);
  await replaceQueryData(queries, queryKey, "new");
  for (const resolve of requests) resolve("old");
  await result;
  expect(queries.getQueryData(queryKey)).toBe("new");
});
