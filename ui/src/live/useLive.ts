import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { currentUserQuery } from "../api/account";
import { type LiveSnapshot, type LiveStatus, watch } from "./socket";

interface Live {
  snapshot: LiveSnapshot | undefined;
  status: LiveStatus;
}

/** Returns the newest snapshot of a machine and the state of the connection. There is none unless it is enabled. */
export function useLive(machineId: string, enabled: boolean): Live {
  const [snapshot, setSnapshot] = useState<LiveSnapshot>();
  const [status, setStatus] = useState<LiveStatus>("connecting");
  const queries = useQueryClient();
  useEffect(() => {
    if (!enabled) return;
    const stop = watch(machineId, {
      onSnapshot: setSnapshot,
      onStatus: (status) => {
        setStatus(status);
        if (status === "ended") {
          void queries.invalidateQueries({ queryKey: currentUserQuery.queryKey, exact: true });
        }
      },
    });
    return () => {
      stop();
      setSnapshot(undefined);
    };
  }, [machineId, enabled, queries]);
  return { snapshot, status };
}
