import { Link } from "@tanstack/react-router";
import type { SnapshotView } from "../../api/client";
import { LocalTimeInput } from "../../components/LocalTimeInput";
import { DateTime } from "../../components/Timestamps";
import { SnapshotAge } from "../../components/SnapshotAge";
import { bytes, number, percent, share } from "../../format";
import { iso } from "../../time/range";

interface InstantCardProps {
  title: string;
  machineId: string;
  /** The selected instant. */
  at: string;
  /** The snapshot at this instant; undefined while it is loading. */
  snapshot: SnapshotView | undefined;
  onChange: (at: string) => void;
}

/** Selects one of the two instants, and summarizes the machine at that time. */
export function InstantCard({ title, machineId, at, snapshot, onChange }: InstantCardProps) {
  const move = (ms: number) => onChange(iso(Date.parse(at) + ms));
  return (
    <section className="card" aria-label={title}>
      <div className="heading">
        <h2>{title}</h2>
        <LocalTimeInput
          label={`${title}: time`}
          hideLabel
          value={Date.parse(at)}
          onChange={(ms) => onChange(iso(ms))}
        />
        <button type="button" className="plain" onClick={() => move(-60_000)}>
          −1 min
        </button>
        <button type="button" className="plain" onClick={() => move(60_000)}>
          +1 min
        </button>
        <span className="spacer" />
        <Link to="/machines/$machineId" params={{ machineId }} search={{ at }}>
          View snapshot
        </Link>
      </div>
      {snapshot && <Summary snapshot={snapshot} />}
      {snapshot?.in_gap && (
        <p className="gap" role="status">
          No data for this time. This is the last snapshot before it.
        </p>
      )}
    </section>
  );
}

function Summary({ snapshot }: { snapshot: SnapshotView }) {
  const { timestamp, processes, machine_snapshot: metrics } = snapshot;
  return (
    <p className="number">
      <DateTime at={timestamp} />
      <SnapshotAge coverage={snapshot} /> · {processes?.length} processes · CPU {percent(metrics.cpu_usage)} · memory{" "}
      {bytes(metrics.used_ram)} ({percent(share(metrics.used_ram, metrics.total_ram))}) · load&nbsp;
      {number(metrics.load1, 2)}
    </p>
  );
}
