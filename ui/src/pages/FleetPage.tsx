import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError, type Machine } from "../api/client";
import { machinesQuery } from "../api/machines";
import { useIsAdmin } from "../api/self";
import { Meter } from "../components/Meter";
import { Notice } from "../components/Notice";
import { Ago } from "../components/Time";
import { bytes, duration, number, share } from "../format";

/** Every machine that reports. */
export function FleetPage() {
  const { data: machines, failureReason, isPending } = useQuery(machinesQuery);
  const [filter, setFilter] = useState("");
  const admin = useIsAdmin();
  const needle = filter.trim().toLowerCase();
  const shown = machines?.filter((m) => `${m.hostname} ${m.machine_id} ${m.platform}`.toLowerCase().includes(needle));
  return (
    <main>
      <div className="heading">
        <h1>Machines</h1>
        {machines && <span className="quiet">{machines.length}</span>}
        <input type="search" placeholder="Filter machines" aria-label="Filter machines" value={filter} onChange={(e) => setFilter(e.target.value)} />
      </div>
      {failureReason && (
        <Notice kind="error" title={machines ? "The list is not up to date." : "The machines cannot be loaded."}>
          Trying again. {failureReason instanceof ApiError ? failureReason.message : "The server does not answer."}
        </Notice>
      )}
      {isPending && !failureReason && <Notice title="Loading…" />}
      {machines?.length === 0 && admin && (
        <Notice title="No machine has reported yet.">
          <Link to="/admin" search={{ tab: "enrolment" }}>
            Add a machine
          </Link>
          : it takes one command there.
        </Notice>
      )}
      {machines?.length === 0 && !admin && <Notice title="You see no machine yet.">An administrator grants you machines by their tags.</Notice>}
      {machines && machines.length > 0 && shown?.length === 0 && <Notice title={`No machine matches “${filter}”.`} />}
      {shown && shown.length > 0 && (
        <div className="scroll">
          <table className="fleet">
            <thead>
              <tr>
                <th scope="col">Machine</th>
                <th scope="col">CPU</th>
                <th scope="col">Memory</th>
                <th scope="col">Disk</th>
                <th scope="col" className="right">
                  Load
                </th>
                <th scope="col" className="right">
                  Processes
                </th>
                <th scope="col" className="right">
                  Uptime
                </th>
                <th scope="col" className="right">
                  Last seen
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((machine) => (
                <MachineRow key={machine.machine_id} machine={machine} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </main>
  );
}

/** What a machine is doing, in a word. */
export function statusOf(machine: Machine): { label: string; kind: "up" | "stale" | "off" } {
  if (machine.status === "stale") return { label: "silent", kind: "stale" };
  return machine.enabled ? { label: "up", kind: "up" } : { label: "disabled", kind: "off" };
}

function MachineRow({ machine }: { machine: Machine }) {
  const { latest } = machine;
  const status = statusOf(machine);
  return (
    <tr>
      <th scope="row">
        <span className={`dot ${status.kind}`} role="img" aria-label={status.label} title={status.label} />
        <Link to="/machines/$machineId" params={{ machineId: machine.machine_id }}>
          {machine.hostname || machine.machine_id}
        </Link>
        <span className="quiet block">{machine.platform}</span>
      </th>
      <td>
        <Meter value={latest?.cpu_usage ?? null} label={`${machine.cpu_count} CPUs`} />
      </td>
      <td>
        <Meter value={share(latest?.used_ram, latest?.total_ram)} label={`${bytes(latest?.used_ram)} of ${bytes(latest?.total_ram)}`} />
      </td>
      <td>
        <Meter value={share(latest?.used_disk, latest?.total_disk)} label={`${bytes(latest?.used_disk)} of ${bytes(latest?.total_disk)}`} />
      </td>
      <td className="right number">{number(latest?.load1, 2)}</td>
      <td className="right number">{number(machine.process_count)}</td>
      <td className="right">{duration(latest?.uptime_ms)}</td>
      <td className="right">
        <Ago at={machine.last_seen} />
      </td>
    </tr>
  );
}
