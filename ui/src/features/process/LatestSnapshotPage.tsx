import { type QueryClient, queryOptions, useQuery } from "@tanstack/react-query";
import { Navigate, useParams, useSearch } from "@tanstack/react-router";
import { snapshotAtQuery } from "../../api/machines";
import { ProgressBar } from "../../components/ProgressBar";
import { keyOf } from "../../processes/process";
import { iso } from "../../time/range";

/**
 * Shows a machine at the last snapshot that lists a process, up to a sample of the process. A process that ended has its
 * last sample in the first snapshot without it.
 */
export function LatestSnapshotPage() {
  const { machineId, pid } = useParams({ from: "/machines/$machineId/processes/$pid/latest" });
  const { started, at } = useSearch({ from: "/machines/$machineId/processes/$pid/latest" });
  const key = keyOf({ pid: Number(pid), started_at: started });
  const { data: instant } = useQuery({ ...latestSnapshotQuery(machineId, key, at ?? ""), enabled: at !== undefined });
  if (at !== undefined && instant === undefined)
    return (
      <main>
        <ProgressBar busy />
      </main>
    );
  return <Navigate replace to="/machines/$machineId" params={{ machineId }} search={{ at: instant, filter: pid }} />;
}

const latestSnapshotQuery = (machineId: string, key: string, at: string) =>
  queryOptions({
    queryKey: ["machines", machineId, "latest snapshot", key, at],
    queryFn: ({ client }) => findSnapshot(client, machineId, key, at),
  });

/** Returns the time of the snapshot with a process: the one at a time, or the one before. If neither has it, the time. */
async function findSnapshot(queries: QueryClient, machineId: string, key: string, at: string): Promise<string> {
  const read = (time: string) => queries.query(snapshotAtQuery(machineId, time)).catch(() => undefined);
  const isListed = (snapshot: Awaited<ReturnType<typeof read>>) =>
    snapshot?.processes?.some((process) => keyOf(process) === key);
  const last = await read(at);
  if (!last || isListed(last)) return at;
  const before = await read(iso(Date.parse(last.timestamp) - 1));
  return before && isListed(before) ? before.timestamp : at;
}
