import { Link } from "@tanstack/react-router";
import type { MachineMetrics } from "../../api/client";
import { DateTime } from "../../components/Timestamps";
import { bytes, number, percent, share, utc } from "../../format";
import { iso, toLocalInput } from "../../time/range";

interface InstantCardProps {
  title: string;
  machineId: string;
  at: string;
  timestamp: string | undefined;
  metrics: MachineMetrics | undefined;
  processes: number | undefined;
  onChange: (at: string) => void;
}

/** One of the two instants: which it is, to be changed, and the machine then. */
export function InstantCard({ title, machineId, at, timestamp, metrics: m, processes, onChange }: InstantCardProps) {
  const move = (ms: number) => onChange(iso(Date.parse(at) + ms));
  return (
    <section className="card" aria-label={title}>
      <div className="heading">
        <h2>{title}</h2>
        <input
          type="datetime-local"
          step="1"
          aria-label={`${title}: instant`}
          title={utc(at)}
          value={toLocalInput(Date.parse(at))}
          onChange={(e) => {
            const time = Date.parse(e.target.value);
            if (!Number.isNaN(time)) onChange(iso(time));
          }}
        />
        <button type="button" className="plain" onClick={() => move(-60_000)}>
          −1 min
        </button>
        <button type="button" className="plain" onClick={() => move(60_000)}>
          +1 min
        </button>
        <span className="spacer" />
        <Link to="/machines/$machineId" params={{ machineId }} search={{ at }}>
          Show all of it
        </Link>
      </div>
      {m && timestamp && (
        <p className="number">
          <DateTime at={timestamp} /> · {processes} processes · CPU {percent(m.cpu_usage)} · memory {bytes(m.used_ram)}{" "}
          ({percent(share(m.used_ram, m.total_ram))}) · load {number(m.load1, 2)}
        </p>
      )}
    </section>
  );
}
