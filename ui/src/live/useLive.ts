import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { selfQuery } from "../api/self";
import { type LiveSnapshot, type LiveStatus, watch } from "./socket";

/** The newest snapshot of a machine, and whether the connection is up. */
export function useLive(machineId: string): { snapshot: LiveSnapshot | undefined; status: LiveStatus } {
  const [snapshot, setSnapshot] = useState<LiveSnapshot>();
  const [status, setStatus] = useState<LiveStatus>("connecting");
  const queries = useQueryClient();
  useEffect(() => {
    setSnapshot(undefined);
    return watch(machineId, {
      snapshot: setSnapshot,
      status: (status) => {
        setStatus(status);
        if (status === "ended") void queries.invalidateQueries({ queryKey: selfQuery.queryKey, exact: true });
      },
    });
  }, [machineId, queries]);
  return { snapshot, status };
}
