import type { ReactNode } from "react";
import type { MachineMetrics } from "../api/client";
import { bytes, duration, number, share } from "../format";
import { Meter } from "./Meter";

/** The system metrics of one snapshot. */
export function MachineTiles({ metrics: m, cpus }: { metrics: MachineMetrics; cpus: number | undefined }) {
  return (
    <dl className="tiles">
      <Tile name="CPU" detail={cpus ? `${cpus} CPUs` : ""}>
        <Meter value={m.cpu_usage ?? null} label="of all cores" />
      </Tile>
      <Tile name="Memory" detail={`${bytes(m.used_ram)} of ${bytes(m.total_ram)}`}>
        <Meter value={share(m.used_ram, m.total_ram)} label="used" />
      </Tile>
      {m.total_swap ? (
        <Tile name="Swap" detail={`${bytes(m.used_swap)} of ${bytes(m.total_swap)}`}>
          <Meter value={share(m.used_swap, m.total_swap)} label="used" />
        </Tile>
      ) : null}
      <Tile name="Disk" detail={`${bytes(m.used_disk)} of ${bytes(m.total_disk)}`}>
        <Meter value={share(m.used_disk, m.total_disk)} label="used" />
      </Tile>
      <Tile name="Load" detail="1, 5, 15 min">
        <span className="number">
          {number(m.load1, 2)} {number(m.load5, 2)} {number(m.load15, 2)}
        </span>
      </Tile>
      <Tile name="Uptime" detail="">
        <span className="number">{duration(m.uptime_ms)}</span>
      </Tile>
    </dl>
  );
}

function Tile({ name, detail, children }: { name: string; detail: string; children: ReactNode }) {
  return (
    <div className="tile">
      <dt>{name}</dt>
      <dd>
        {children}
        <span className="quiet block">{detail}</span>
      </dd>
    </div>
  );
}
