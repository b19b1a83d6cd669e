// Queries about the past: charts, trends, the history of a process, and searches.
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { type TimeWindow, iso } from "../time/range";
import { client, unwrap } from "./client";

/** Returns an instant as RFC 3339. Instants before 1970 become 1970, because no data is older. */
const since1970 = (ms: number) => iso(Math.max(0, ms));

/** Returns the refetch interval of a chart in milliseconds. Live snapshots extend the chart in the meantime. */
const refetchInterval = (window: TimeWindow): number | false =>
  window.moving ? Math.min(300_000, Math.max(15_000, (window.to - window.from) / 700)) : false;

/** Returns the metrics of a machine in a window. A moving window is one query that is refetched as time passes. */
export const chartQuery = (machineId: string, window: TimeWindow) => {
  const span = window.to - window.from;
  return queryOptions({
    queryKey: ["machines", machineId, "chart", window.moving ? span : [window.from, window.to]],
    refetchInterval: refetchInterval(window),
    staleTime: window.moving ? 5000 : 60_000,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const query = window.moving
        ? { since: `${span / 1000}s` }
        : { from: since1970(window.from), to: since1970(window.to) };
      const params = { path: { machine_id: machineId }, query };
      return unwrap(await client.GET("/api/v1/machines/{machine_id}/metrics", { params, signal }));
    },
  });
};

/** Returns the sparklines of machines, by machine id. */
export const machineTrendsQuery = (machineIds: string[]) =>
  queryOptions({
    queryKey: ["trends", machineIds],
    enabled: machineIds.length > 0,
    refetchInterval: 30_000,
    staleTime: 15_000,
    gcTime: 60_000,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const params = { query: { machine_id: machineIds } };
      const { results } = unwrap(await client.GET("/api/v1/trends", { params, signal }));
      return new Map(results.map((trend) => [trend.machine_id, trend]));
    },
  });

/** The time that the sparkline of a process covers, in milliseconds. */
const trendSpan = 600_000;

/** Returns the sparklines of a machine's processes up to an instant, by process key; undefined is now. */
export const processTrendsQuery = (machineId: string, to: number | undefined) =>
  queryOptions({
    queryKey: ["machines", machineId, "process trends", to ?? "now"],
    refetchInterval: to === undefined ? 10_000 : false,
    gcTime: 60_000,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const query =
        to === undefined ? { since: `${trendSpan / 1000}s` } : { from: since1970(to - trendSpan), to: since1970(to) };
      const params = { path: { machine_id: machineId }, query };
      const { results } = unwrap(
        await client.GET("/api/v1/machines/{machine_id}/processes/trends", { params, signal }),
      );
      return new Map(results.map((trend) => [`${trend.pid}@${trend.started_at ?? ""}`, trend.cpu_usage]));
    },
  });

/** Compares two instants on the server: with the CPU time in between, and with short-lived processes. */
export const diffQuery = (machineId: string, from: string, to: string) =>
  queryOptions({
    queryKey: ["machines", machineId, "diff", from, to],
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const params = { path: { machine_id: machineId }, query: { from, to, sort: "cpu" as const, limit: 10_000 } };
      return unwrap(await client.GET("/api/v1/machines/{machine_id}/diff", { params, signal }));
    },
  });

/** One process, all processes of a name on a machine, or all processes of a name on all machines. */
export type HistorySubject =
  | { machineId: string; pid: number; startedAt: string | undefined }
  | { machineId: string; name: string }
  | { name: string };

/** Returns the resource usage of a process or of a process name in a window. */
export const processHistoryQuery = (subject: HistorySubject, window: TimeWindow) =>
  queryOptions({
    queryKey: ["history", subject, window.moving ? window.to - window.from : [window.from, window.to]],
    refetchInterval: refetchInterval(window),
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const range = { from: since1970(window.from), to: since1970(window.to) };
      if (!("machineId" in subject)) {
        const params = { query: { ...range, name: subject.name } };
        return unwrap(await client.GET("/api/v1/processes/history", { params, signal }));
      }
      const which =
        "pid" in subject
          ? { pid: subject.pid, ...(subject.startedAt && { started_at: subject.startedAt }) }
          : { name: subject.name };
      const params = { path: { machine_id: subject.machineId }, query: { ...range, ...which } };
      return unwrap(await client.GET("/api/v1/machines/{machine_id}/processes/history", { params, signal }));
    },
  });

/**
 * What to search for, at an instant or in a window: text in names and command lines, a whole name, or how the processes
 * ended. At least one of these is needed.
 */
export type FindCriteria = { text?: string; name?: string; exit?: string } & (
  { time: string } | { from: string; to: string }
);

/** Returns the machines on which matching processes ran, with their resource usage. */
export const findQuery = (criteria: FindCriteria) =>
  queryOptions({
    queryKey: ["find", criteria],
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      let cursor: string | undefined;
      for (let pages = 1; ; pages++) {
        const params = { query: { ...criteria, limit: 200, ...(cursor && { cursor }) } };
        const page = unwrap(await client.GET("/api/v1/processes", { params, signal }));
        cursor = page.next_cursor ?? undefined;
        // A page can be empty although the following ones are not.
        if (page.results.length > 0 || !cursor || pages === maxEmptyPages) return page;
      }
    },
  });

/** The number of empty pages after which a search gives up. */
const maxEmptyPages = 50;

/** Returns the times nearest to a search at which a matching process ran. */
export const nearestQuery = (criteria: FindCriteria) =>
  queryOptions({
    queryKey: ["nearest", criteria],
    queryFn: async ({ signal }) => {
      const params = { query: criteria };
      return unwrap(await client.GET("/api/v1/processes/nearest", { params, signal }));
    },
  });
