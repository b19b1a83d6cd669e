import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { currentUserQuery } from "../api/account";
import { type LiveSnapshot, type LiveStatus, watch } from "./socket";

/** The newest snapshot of a machine, and whether the connection is up; nothing is watched unless wanted. */
export function useLive(
  machineId: string,
  wanted: boolean,
): { snapshot: LiveSnapshot | undefined; status: LiveStatus } {
  const [snapshot, setSnapshot] = useState<LiveSnapshot>();
  const [status, setStatus] = useState<LiveStatus>("connecting");
  const queries = useQueryClient();
  useEffect(() => {
    if (!wanted) return;
    setSnapshot(undefined);
    return watch(machineId, {
      snapshot: setSnapshot,
      status: (status) => {
        setStatus(status);
        if (status === "ended") void queries.invalidateQueries({ queryKey: currentUserQuery.queryKey, exact: true });
      },
    });
  }, [machineId, wanted, queries]);
  return { snapshot, status };
}
