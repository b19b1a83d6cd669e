import { basePath } from "../../../api/basePath";
import type { Process } from "../../../processes/process";

/**
 * Returns the address of a process's page. The router's links would take most of the time to render a
 * row, and the table renders hundreds of rows while it scrolls.
 */
export function processHref(machineId: string, { pid, started_at }: Process, at: string | undefined): string {
  const search = new URLSearchParams({ ...(started_at && { started: started_at }), ...(at && { at }) }).toString();
  return `${basePath}/machines/${encodeURIComponent(machineId)}/processes/${pid}${search && `?${search}`}`;
}
