import type { MachineMetrics } from "../../api/client";
import { duration, number, percent } from "../../format";

const modes = [
  ["user", "user"],
  ["nice", "nice"],
  ["system", "system"],
  ["irq", "interrupts"],
  ["steal", "stolen"],
  ["iowait", "waiting for disks"],
] as const;

/** What the charts leave out of an instant: where the CPU's time went, each core, temperatures, and what the snapshot cannot show. */
export function SystemDetails({ metrics }: { metrics: MachineMetrics }) {
  const { cpu, cores, temperatures } = metrics;
  const told = modes.filter(([key]) => cpu?.[key]);
  return (
    <div className="vitals quiet" data-testid="vitals">
      {cpu && (
        <span>
          CPU: {told.length > 0 ? told.map(([key, label]) => `${label} ${percent(cpu[key])}`).join(" · ") : "idle"}
        </span>
      )}
      {cores && cores.length > 0 && <Cores cores={cores} />}
      {temperatures && temperatures.length > 0 && (
        <span title={temperatures.map(({ sensor, celsius }) => `${sensor}: ${number(celsius, 1)} °C`).join("\n")}>
          {hottest(temperatures)}
        </span>
      )}
      {metrics.unseen_processes ? (
        <span title="They began and ended since the snapshot before, and are in none">
          {metrics.unseen_processes} processes or threads unseen, at most
        </span>
      ) : null}
      {metrics.dropped_snapshots ? (
        <span className="hot">
          {metrics.dropped_snapshots} snapshots before this one were dropped: the server was away for too long, or
          refused them
        </span>
      ) : null}
      {metrics.clock_jump_ms ? (
        <span className="hot">
          before this snapshot the clock was set {metrics.clock_jump_ms > 0 ? "forward" : "back"} by{" "}
          {duration(Math.abs(metrics.clock_jump_ms))}, or the machine slept
        </span>
      ) : null}
    </div>
  );
}

function hottest(list: NonNullable<MachineMetrics["temperatures"]>): string {
  const first = list.reduce((a, b) => (b.celsius > a.celsius ? b : a));
  return list.length === 1
    ? `${first.sensor} ${number(first.celsius)} °C`
    : `${list.length} sensors, hottest ${first.sensor} ${number(first.celsius)} °C`;
}

/** A bar a core: one glance tells one busy core from all of them. */
function Cores({ cores }: { cores: readonly number[] }) {
  const busiest = Math.max(...cores);
  return (
    <span
      className="cores"
      role="img"
      aria-label={`${cores.length} cores, the busiest at ${busiest} %`}
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
