import type { MachineMetrics } from "../../api/client";
import { duration, number, percent } from "../../format";

const cpuModes = [
  ["user", "user"],
  ["nice", "nice"],
  ["system", "system"],
  ["irq", "interrupts"],
  ["steal", "steal"],
  ["iowait", "I/O wait"],
] as const;

/** The metrics of a snapshot that are not in the charts: CPU modes, cores, temperatures, and missing data. */
export function SystemDetails({ metrics }: { metrics: MachineMetrics }) {
  const { cpu, cores, temperatures } = metrics;
  return (
    <div className="details quiet" data-testid="system-details">
      {cpu && <span>CPU: {describeCpu(cpu)}</span>}
      {cores && cores.length > 0 && <Cores cores={cores} />}
      {temperatures && temperatures.length > 0 && <Temperatures list={temperatures} />}
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
