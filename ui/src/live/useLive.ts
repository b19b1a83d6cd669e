import { useEffect, useState } from "react";
import { type LiveSnapshot, type LiveStatus, watch } from "./socket";

/** The newest snapshot of a machine, and whether the connection is up. */
export function useLive(machineId: string): { snapshot: LiveSnapshot | undefined; status: LiveStatus } {
  const [snapshot, setSnapshot] = useState<LiveSnapshot>();
  const [status, setStatus] = useState<LiveStatus>("connecting");
  useEffect(() => {
    setSnapshot(undefined);
    return watch(machineId, { snapshot: setSnapshot, status: setStatus });
  }, [machineId]);
  return { snapshot, status };
}
