// What was: charts, small lines, one process's life, and who ran something.
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { ApiError, client, unwrap } from "./client";
import { type TimeWindow, iso } from "../time/range";

/** Nothing is stored of the time before 1970. */
const since1970 = (ms: number) => iso(Math.max(0, ms));

/** A question that was wrong does not get right by asking again. */
export const retryServerErrors = (count: number, error: Error): boolean =>
  !(error instanceof ApiError && error.status < 500) && count < 3;

/** How soon a chart that moves is read anew: live snapshots go on where it ends. */
const refresh = (window: TimeWindow): number | false =>
  window.moving ? Math.min(300_000, Math.max(15_000, (window.to - window.from) / 700)) : false;

/** A machine's chart. A moving window is one question, asked again as time goes on. */
export const chartQuery = (machineId: string, window: TimeWindow) => {
  const span = window.to - window.from;
  return queryOptions({
    queryKey: ["machines", machineId, "chart", window.moving ? span : [window.from, window.to]],
    refetchInterval: refresh(window),
    staleTime: window.moving ? 5000 : 60_000,
    placeholderData: keepPreviousData,
    retry: retryServerErrors,
    queryFn: async ({ signal }) => {
      const query = window.moving
        ? { since: `${span / 1000}s` }
        : { from: since1970(window.from), to: since1970(window.to) };
      return unwrap(
        await client.GET("/api/v1/machines/{machine_id}/metrics", {
          params: { path: { machine_id: machineId }, query },
          signal,
        }),
      );
    },
  });
};

/** Small lines beside machines. */
export const machineTrendsQuery = (machineIds: string[]) =>
  queryOptions({
    queryKey: ["trends", machineIds],
    enabled: machineIds.length > 0,
    refetchInterval: 30_000,
    staleTime: 15_000,
    gcTime: 60_000,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const { results } = unwrap(
        await client.GET("/api/v1/trends", { params: { query: { machine_id: machineIds } }, signal }),
      );
      return new Map(results.map((trend) => [trend.machine_id, trend]));
    },
  });

/** How long the small lines beside processes look back. */
export const trendSpan = 600_000;

/** Small lines beside the processes of a machine, up to an instant; undefined is now. */
export const processTrendsQuery = (machineId: string, to: number | undefined) =>
  queryOptions({
    queryKey: ["machines", machineId, "process trends", to ?? "now"],
    refetchInterval: to === undefined ? 10_000 : false,
    gcTime: 60_000,
    placeholderData: keepPreviousData,
    retry: retryServerErrors,
    queryFn: async ({ signal }) => {
      const query =
        to === undefined ? { since: `${trendSpan / 1000}s` } : { from: since1970(to - trendSpan), to: since1970(to) };
      const { results } = unwrap(
        await client.GET("/api/v1/machines/{machine_id}/processes/trends", {
          params: { path: { machine_id: machineId }, query },
          signal,
        }),
      );
      return new Map(results.map((trend) => [`${trend.pid}@${trend.started_at ?? ""}`, trend.cpu_usage]));
    },
  });

/** What is different between two instants, as the server knows it: with what was used in between, and what came and went. */
export const diffQuery = (machineId: string, from: string, to: string) =>
  queryOptions({
    queryKey: ["machines", machineId, "diff", from, to],
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
    retry: retryServerErrors,
    queryFn: async ({ signal }) =>
      unwrap(
        await client.GET("/api/v1/machines/{machine_id}/diff", {
          params: { path: { machine_id: machineId }, query: { from, to, sort: "cpu" } },
          signal,
        }),
      ),
  });

/** Up to so long every sample of a process is drawn. */
const longestRaw = 3.1 * 3_600_000;

/** One process's life, or all of one name on a machine, or everywhere. */
export type Subject =
  | { machineId: string; pid: number; startedAt: string | undefined }
  | { machineId: string; name: string }
  | { name: string };

/** What a process, or a name, did in a window. */
export const processHistoryQuery = (subject: Subject, window: TimeWindow) =>
  queryOptions({
    queryKey: ["life", subject, window.moving ? window.to - window.from : [window.from, window.to]],
    refetchInterval: refresh(window),
    placeholderData: keepPreviousData,
    retry: retryServerErrors,
    queryFn: async ({ signal }) => {
      const range = { from: since1970(window.from), to: since1970(window.to) };
      if (!("machineId" in subject))
        return unwrap(
          await client.GET("/api/v1/processes/history", {
            params: { query: { ...range, name: subject.name } },
            signal,
          }),
        );
      const which =
        "pid" in subject
          ? { pid: subject.pid, ...(subject.startedAt && { started_at: subject.startedAt }) }
          : { name: subject.name };
      return unwrap(
        await client.GET("/api/v1/machines/{machine_id}/processes/history", {
          params: {
            path: { machine_id: subject.machineId },
            query: {
              ...range,
              ...which,
              resolution: "pid" in subject && window.to - window.from <= longestRaw ? "raw" : "auto",
            },
          },
          signal,
        }),
      );
    },
  });

/** What is looked for: text in names and command lines, or one whole name. */
export type Wanted = ({ text: string } | { name: string }) & ({ time: string } | { from: string; to: string });

/** On which machines it ran, and what it used there; a page. */
export const findQuery = (wanted: Wanted) =>
  queryOptions({
    queryKey: ["find", wanted],
    placeholderData: keepPreviousData,
    retry: retryServerErrors,
    queryFn: async ({ signal }) =>
      unwrap(await client.GET("/api/v1/processes", { params: { query: { ...wanted, limit: 200 } }, signal })),
  });
