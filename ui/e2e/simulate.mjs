// Simulated machines with any number of processes. Their snapshots are posted to the API.
import { api } from "./harness.mjs";

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

/** A machine with n processes, and a share of busy ones in each snapshot. All values are deterministic. */
export class Machine {
  constructor(id, n, { busy = 0.1, started = "2026-01-01T00:00:00.000Z" } = {}) {
    this.id = id;
    this.n = n;
    this.started = started;
    /** One of this many processes is busy in a snapshot. */
    this.period = Math.round(1 / busy);
    this.round = 0;
    /** The timestamp of the latest snapshot. */
    this.previous = undefined;
  }

  #process(i, withIdentity) {
    const busy = i % this.period === this.round % this.period;
    const name = names[i % names.length];
    const identity = {
      ppid: i === 0 ? 0 : Math.floor((i - 1) / 6) + 1, // a tree of several levels
      name,
      command_line: `/usr/bin/${name} --worker ${i} --config /etc/${name}.conf`,
      user: i % 3 ? "root" : "www-data",
    };
    return {
      pid: i + 1,
      started_at: this.started,
      ...(withIdentity && identity),
      state: busy ? "R" : "S",
      cpu_ms: busy ? (5000 + ((i * 7919 + this.round * 1237) % 400_000)) / 1000 : 0, // to the microsecond
      memory_usage: 1_000_000 + i * 40_000 + (busy ? this.round * 4096 : 0),
      threads: 1 + (i % 7),
      read_bytes: 0,
      write_bytes: busy ? 4096 : 0,
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
      fullest_disk: "/",
      fullest_disk_usage: 40,
      cached_ram: 6 * 2 ** 30,
      shared_ram: 2 ** 28,
      buffers_ram: 2 ** 27,
      slab_ram: 2 ** 29,
      disks: [
        { mount: "/", type: "ext4", total: 500 * 2 ** 30, used: 200 * 2 ** 30, read_bytes: 1e6, write_bytes: 2e6 },
      ],
      interfaces: [{ name: "eth0", received_bytes: 10_000, sent_bytes: 20_000 }],
    };
  }

  /** Returns the indexes of the processes that changed: those that are busy, and those that became idle. */
  #changed() {
    const turns = [this.round, this.round - 1].map((round) => round % this.period);
    return Array.from({ length: this.n }, (_, i) => i).filter((i) => turns.includes(i % this.period));
  }

  /** Returns the snapshot at an instant in milliseconds: full, or with the changes since the previous one. */
  snapshot(at, { full = this.round % 60 === 0, intervalMs = 1000 } = {}) {
    const timestamp = new Date(at).toISOString();
    const processes = full
      ? Array.from({ length: this.n }, (_, i) => this.#process(i, true))
      : this.#changed().map((i) => this.#process(i, false));
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

/** Registers a machine. */
export const register = (site, machine_id, attributes = {}) =>
  api(site, "/api/v1/machines", {
    method: "POST",
    body: { machine_id, hostname: machine_id, os: "linux", platform: "debian 12", cpu_count: 4, ...attributes },
  });

/** Posts snapshots of a machine. The source is the agent that sends them. */
export const post = (site, machine_id, snapshots, source) =>
  api(site, "/api/v1/snapshots", { method: "POST", body: { machine_id, source, snapshots } });
