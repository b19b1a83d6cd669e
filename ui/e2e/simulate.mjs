// Machines that only exist in posts: as many, and as large, as a test wants.
import { api } from "./site.mjs";

const names = [
  "nginx",
  "postgres",
  "java",
  "python3",
  "node",
  "kworker/0:1",
  "sshd",
  "redis-server",
  "containerd-shim",
  "bash",
];

/** A machine with n processes, of which a share changes from snapshot to snapshot. It tells the same every time. */
export class Machine {
  constructor(id, n, { busy = 0.1, started = "2026-01-01T00:00:00.000Z" } = {}) {
    Object.assign(this, { id, n, busy, started, round: 0, previous: undefined });
  }

  #process(i, withIdentity) {
    const spends = i % Math.round(1 / this.busy) === this.round % Math.round(1 / this.busy);
    const name = names[i % names.length];
    return {
      pid: i + 1,
      started_at: this.started,
      // Three levels and more, as on a machine of services with workers.
      ...(withIdentity && {
        ppid: i === 0 ? 0 : Math.floor((i - 1) / 6) + 1,
        name,
        command_line: `/usr/bin/${name} --worker ${i} --config /etc/${name}.conf`,
        user: i % 3 ? "root" : "www-data",
      }),
      state: spends ? "R" : "S",
      cpu_ms: spends ? 5 + ((i * 7 + this.round) % 400) : 0,
      memory_usage: 1_000_000 + i * 40_000 + (spends ? this.round * 4096 : 0),
      threads: 1 + (i % 7),
      read_bytes: 0,
      write_bytes: spends ? 4096 : 0,
    };
  }

  #metrics() {
    const wave = 50 + 45 * Math.sin(this.round / 20);
    return {
      cpu_usage: wave,
      cpu: { user: Math.round(wave * 3) / 4, system: Math.round(wave) / 4 },
      cores: [Math.min(100, Math.round(wave)), Math.round(wave / 2)],
      temperatures: [{ sensor: "package", celsius: 45.5 }],
      load1: wave / 25,
      load5: wave / 30,
      load15: 1.5,
      uptime_ms: 86_400_000,
      total_ram: 16 * 2 ** 30,
      used_ram: Math.round((4 + wave / 20) * 2 ** 30),
      total_swap: 0,
      used_swap: 0,
      total_disk: 500 * 2 ** 30,
      used_disk: 200 * 2 ** 30,
      disks: [{ mount: "/", read_bytes: 1e6, write_bytes: 2e6 }],
      interfaces: [{ name: "eth0", received_bytes: 10_000, sent_bytes: 20_000 }],
    };
  }

  /** The snapshot of an instant, in milliseconds: every process, or what has changed since the one before. */
  snapshot(at, { full = this.round % 60 === 0, intervalMs = 1000 } = {}) {
    const timestamp = new Date(at).toISOString();
    const of = (withIdentity) => Array.from({ length: this.n }, (_, i) => this.#process(i, withIdentity));
    const before = this.round - 1;
    const turns = Math.round(1 / this.busy);
    // Besides those that are busy now, those that were just before: they are idle again.
    const processes = full
      ? of(true)
      : of(false).filter((_, i) => i % turns === this.round % turns || i % turns === before % turns);
    const snapshot = {
      timestamp,
      kind: full ? "full" : "changes",
      ...(!full && { previous: this.previous }),
      interval_ms: intervalMs,
      machine_snapshot: this.#metrics(),
      processes,
    };
    this.previous = timestamp;
    this.round++;
    return snapshot;
  }
}

/** Says who a machine is. */
export const register = (site, machine_id, given = {}) =>
  api(site, "/api/v1/machines", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      machine_id,
      hostname: machine_id,
      os: "linux",
      platform: "debian 12",
      cpu_count: 4,
      ...given,
    }),
  });

/** Posts snapshots of a machine. */
export const post = (site, machine_id, snapshots) =>
  api(site, "/api/v1/snapshots", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ machine_id, snapshots }),
  });
