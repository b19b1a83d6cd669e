import type { MachineMetrics } from "../../api/client";
import { bytes, duration, number, percent } from "../../format";
import { type DiskUsage, diskUsages } from "./diskUsage";

const cpuModes = [
  ["user", "user"],
  ["nice", "nice"],
  ["system", "system"],
  ["irq", "interrupts"],
  ["steal", "steal"],
  ["iowait", "I/O wait"],
] as const;

const memoryParts = [
  ["cached_ram", "cache"],
  ["shared_ram", "shared"],
  ["buffers_ram", "buffers"],
  ["slab_ram", "slab"],
] as const;

/** The metrics of a snapshot that are not in the titles of charts, and missing data. */
export function SystemDetails({ metrics }: { metrics: MachineMetrics }) {
  const { cpu, cores, temperatures, disks, stale } = metrics;
  const memory = memoryParts.filter(([key]) => metrics[key] !== undefined);
  return (
    <div className="details quiet" data-testid="system-details">
      {cpu && <span>CPU: {describeCpu(cpu)}</span>}
      {cores && cores.length > 0 && <Cores cores={cores} />}
      {memory.length > 0 && (
        <span>Memory: {memory.map(([key, label]) => `${label} ${bytes(metrics[key])}`).join(" · ")}</span>
      )}
      {disks && disks.length > 0 && <Disks list={diskUsages(disks, stale)} />}
      {temperatures && temperatures.length > 0 && <Temperatures list={temperatures} />}
      {stale && stale.length > 0 && (
        <span className="hot" title="The last known values are shown.">
          No answer in time: {stale.join(", ")}
        </span>
      )}
      {metrics.unseen_processes ? (
        <span title="They started and ended between two snapshots.">
          Up to {metrics.unseen_processes} short-lived processes or threads were not recorded
        </span>
      ) : null}
      {metrics.dropped_snapshots ? (
        <span className="hot">
          {metrics.dropped_snapshots} snapshots before this one were lost: the server was unreachable for too long or
          rejected them
        </span>
      ) : null}
      {metrics.clock_jump_ms ? (
        <span className="hot">
          Before this snapshot, the clock was set {metrics.clock_jump_ms > 0 ? "forward" : "back"} by{" "}
          {duration(Math.abs(metrics.clock_jump_ms))}
          {metrics.clock_jump_ms > 0 && " or the machine was suspended"}
        </span>
      ) : null}
    </div>
  );
}

function describeCpu(cpu: NonNullable<MachineMetrics["cpu"]>): string {
  const used = cpuModes.filter(([key]) => cpu[key]);
  return used.length > 0 ? used.map(([key, label]) => `${label} ${percent(cpu[key])}`).join(" · ") : "idle";
}

const shownDisks = 6;
const fullDisk = 95;

/** The fullest disks. The tooltip lists all. */
function Disks({ list }: { list: DiskUsage[] }) {
  const full = ({ disk, usage, isStale }: DiskUsage) =>
    `${disk.mount}: ${percent(usage)}, ${bytes(disk.used)} of ${bytes(disk.total)} used` +
    `${disk.type ? `, ${disk.type}` : ""}${disk.read_only ? ", read-only" : ""}${isStale ? ", does not answer" : ""}`;
  return (
    <span title={list.map(full).join("\n")}>
      Disks:{" "}
      {list.slice(0, shownDisks).map(({ disk, usage, isStale }, i) => (
        <span key={disk.mount}>
          {i > 0 && " · "}
          <span className={isStale || (!disk.read_only && usage !== null && usage >= fullDisk) ? "hot" : ""}>
            {disk.mount} {isStale ? "does not answer" : percent(usage)}
          </span>
        </span>
      ))}
      {list.length > shownDisks && ` · ${list.length - shownDisks} more`}
    </span>
  );
}

function Temperatures({ list }: { list: NonNullable<MachineMetrics["temperatures"]> }) {
  const hottest = list.reduce((a, b) => (b.celsius > a.celsius ? b : a));
  const reading = `${hottest.sensor} ${number(hottest.celsius)} °C`;
  return (
    <span title={list.map(({ sensor, celsius }) => `${sensor}: ${number(celsius, 1)} °C`).join("\n")}>
      {list.length === 1 ? reading : `${list.length} sensors, hottest: ${reading}`}
    </span>
  );
}

/** The usage of each core as a bar. */
function Cores({ cores }: { cores: readonly number[] }) {
  return (
    <span
      className="cores"
      role="img"
      aria-label={`${cores.length} cores, busiest at ${Math.max(...cores)} %`}
      title={cores.map((value, i) => `core ${i}: ${value} %`).join("\n")}
    >
      {cores.map((value, i) => (
        <i key={i}>
          <b className={value >= 90 ? "high" : value >= 70 ? "raised" : ""} style={{ height: `${value}%` }} />
        </i>
      ))}
    </span>
  );
}
