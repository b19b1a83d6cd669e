// A simulated fleet for screenshots: one hour of eleven machines. A backup slows down one of them.
// All values are deterministic.
import { patchMachine } from "./harness.mjs";
import { post, register } from "./simulate.mjs";

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** Returns a generator of pseudo-random numbers between 0 and 1. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

// pid, parent, name, command line, user, memory in MiB, threads, percent of a core
const services = [
  [1, 0, "systemd", "/sbin/init", "root", 12, 1, 0.1],
  [312, 1, "systemd-journal", "/lib/systemd/systemd-journald", "root", 48, 1, 0.4],
  [540, 1, "cron", "/usr/sbin/cron -f", "root", 3, 1, 0],
  [561, 1, "sshd", "sshd: /usr/sbin/sshd -D [listener]", "root", 9, 1, 0],
  [702, 1, "chronyd", "/usr/sbin/chronyd -F 1", "_chrony", 4, 1, 0],
  [811, 1, "postgres", "/usr/lib/postgresql/16/bin/postgres -D /srv/postgresql", "postgres", 210, 1, 0.3],
  [815, 811, "postgres", "postgres: checkpointer", "postgres", 96, 1, 0.4],
  [816, 811, "postgres", "postgres: background writer", "postgres", 22, 1, 0.1],
  [818, 811, "postgres", "postgres: walwriter", "postgres", 18, 1, 0.6],
  [901, 1, "redis-server", "/usr/bin/redis-server 127.0.0.1:6379", "redis", 340, 5, 2.1],
  [940, 1, "nginx", "nginx: master process /usr/sbin/nginx", "root", 7, 1, 0],
  [941, 940, "nginx", "nginx: worker process", "www-data", 24, 1, 3.2],
  [942, 940, "nginx", "nginx: worker process", "www-data", 25, 1, 2.8],
  [1020, 1, "gunicorn", "/srv/shop/bin/gunicorn shop.wsgi --workers 4", "shop", 62, 1, 0.2],
  [1100, 1, "containerd", "/usr/bin/containerd", "root", 58, 12, 0.5],
  [1180, 1100, "containerd-shim", "containerd-shim-runc-v2 -namespace moby -id 8f2c", "root", 11, 10, 0.1],
  [1204, 1180, "java", "java -Xmx2g -jar /app/search.jar", "search", 1420, 61, 14],
  [1300, 1, "snapwatch-agent", "/usr/bin/snapwatch-agent run", "snapwatch", 13, 6, 0.3],
  ...[1, 2, 3, 4].map((i) => [
    1020 + i,
    1020,
    "gunicorn",
    "/srv/shop/bin/gunicorn shop.wsgi --workers 4",
    "shop",
    138 + 9 * i,
    3,
    6 + i,
  ]),
  ...[1, 2, 3, 4, 5, 6].map((i) => [
    820 + i,
    811,
    "postgres",
    `postgres: shop shop 10.0.0.${10 + i}(${42000 + 7 * i}) ${i % 3 ? "idle" : "SELECT"}`,
    "postgres",
    60 + 11 * i,
    1,
    i % 3 ? 0.4 : 7,
  ]),
];
const backup = [
  [4711, 540, "cron", "/usr/sbin/CRON -f", "root", 5, 1, 0],
  [4712, 4711, "backup.sh", "/bin/sh /etc/cron.d/backup.sh", "root", 2, 1, 0],
  [4713, 4712, "pg_dump", "pg_dump --format=custom shop", "postgres", 85, 1, 58],
  [4714, 4712, "zstd", "zstd -19 -T2 -o /backup/shop.zst", "root", 690, 3, 190],
];
/** The start and the end of the backup, in minutes before the end. */
const [backupFrom, backupTo] = [38, 27];

/** Returns the systemd unit of a process: its own name below process 1, else that of its parent. */
function unitOf(name, ppid) {
  const parent = services.find(([pid]) => pid === ppid)?.[2] ?? "backup";
  return (ppid > 1 ? parent : name).replace(/[^a-z]/g, "");
}

/** Returns the snapshot of web-2 at an instant, in milliseconds before the end. */
function demoSnapshot(end, before, intervalMs, roll) {
  const duringBackup = before / 60_000 <= backupFrom && before / 60_000 > backupTo;
  const started = (pid) =>
    pid >= 4711 && pid < 4720 ? end - backupFrom * 60_000 - 800 : end - 19 * 86_400_000 + pid * 20;
  const processes = [...services, ...(duringBackup ? backup : [])].map(
    ([pid, ppid, name, command_line, user, memory, threads, cpu]) => {
      const cpuPercent = cpu * (duringBackup && pid < 4000 ? 1.4 : 1) * (0.5 + roll());
      const io = name === "zstd" || name === "pg_dump" ? 9 * MiB : 0;
      return {
        pid,
        ppid,
        name,
        command_line,
        user,
        started_at: new Date(started(pid)).toISOString(),
        cgroup: pid === 1 ? "/init.scope" : `/system.slice/${unitOf(name, ppid)}.service`,
        open_files: 4 + threads * 7,
        state: cpuPercent > 8 ? "R" : "S",
        cpu_ms: Math.round(cpuPercent * intervalMs * 10) / 1000,
        memory_usage: Math.round(memory * MiB * (0.98 + 0.04 * roll())),
        threads,
        read_bytes: Math.round(io * roll()),
        write_bytes: Math.round((name === "zstd" ? 4 * MiB : cpu * 900) * roll()),
      };
    },
  );
  const busy = processes.reduce((sum, p) => sum + p.cpu_ms, 0) / intervalMs;
  const cpu_usage = Math.min(100, (100 * busy) / 4 + 2 * roll());
  const load = busy * (1.1 + 0.3 * roll());
  const bytesMoved = (rate) => Math.round((rate * intervalMs * (0.6 + 0.8 * roll())) / 1000);
  const usedDisk = Math.round(96 * GiB + (duringBackup ? ((backupFrom - before / 60_000) / 11) * 9 * GiB : 9 * GiB));
  return {
    timestamp: new Date(end - before).toISOString(),
    kind: "full",
    interval_ms: intervalMs,
    machine_snapshot: {
      cpu_usage,
      cpu: {
        user: Math.round(cpu_usage * 3.1) / 4,
        system: Math.round(cpu_usage * 0.7) / 4,
        irq: 0.25,
        iowait: Math.round(Math.min(duringBackup ? 11.5 : 0.5, 100 - cpu_usage) * 4) / 4,
      },
      cores: [1.3, 0.8, 1.1, 0.8].map((part) => Math.min(100, Math.round(cpu_usage * part))),
      temperatures: [
        { sensor: "coretemp package", celsius: Math.round(44 + cpu_usage / 3) },
        { sensor: "nvme composite", celsius: duringBackup ? 58 : 41 },
      ],
      load1: load,
      load5: load * 0.9,
      load15: load * 0.8,
      uptime_ms: 19 * 86_400_000,
      total_ram: 16 * GiB,
      used_ram: Math.round(5.6 * GiB + (duringBackup ? 0.8 * GiB : 0) + 0.1 * GiB * roll()),
      total_swap: 2 * GiB,
      used_swap: Math.round(duringBackup ? 0.3 * GiB : 0.1 * GiB),
      cached_ram: Math.round(7.2 * GiB + 0.2 * GiB * roll()),
      shared_ram: Math.round(0.4 * GiB),
      buffers_ram: Math.round(0.3 * GiB),
      slab_ram: Math.round(0.6 * GiB),
      total_disk: 250 * GiB,
      used_disk: usedDisk,
      available_disk: 250 * GiB - usedDisk,
      disks: [
        {
          device: "/dev/nvme0n1p2",
          mount: "/",
          type: "ext4",
          total: 250 * GiB,
          used: usedDisk,
          available: 250 * GiB - usedDisk,
          read_bytes: bytesMoved(duringBackup ? 14 * MiB : 0.3 * MiB),
          write_bytes: bytesMoved(duringBackup ? 8 * MiB : 0.6 * MiB),
        },
      ],
      interfaces: [{ name: "eth0", received_bytes: bytesMoved(0.5 * MiB), sent_bytes: bytesMoved(1.6 * MiB) }],
    },
    processes,
  };
}

/** Posts the snapshots of all machines. Returns the id of the slow machine and the instants of the backup. */
export async function createDemoFleet(site) {
  const end = Date.now();
  const roll = random(7);
  const others = ["db-1", "db-2", "web-1", "web-3", "web-4", "worker-1", "worker-2", "build-1", "edge-fra", "edge-nyc"];
  for (const [i, id] of others.entries()) {
    const ownRoll = random(i + 1);
    const scale = [0.7, 0.5, 0.8, 0.9, 1, 1.3, 0.9, 2.6, 0.2, 0.25][i];
    await register(site, id, {
      platform: i % 4 === 1 ? "ubuntu 24.04" : "debian 12.11",
      cpu_count: 4,
      kernel: "6.1.0-18-amd64",
      architecture: "x86_64",
    });
    const snapshots = Array.from({ length: 60 }, (_, k) => {
      const one = demoSnapshot(end, (59 - k) * 60_000 + (id === "edge-nyc" ? 420_000 : 0), 60_000, ownRoll);
      const m = one.machine_snapshot;
      const base = scale * (1 + 0.4 * Math.sin(k / 7 + i));
      return {
        ...one,
        processes: one.processes.filter((p) => p.pid < 4000),
        machine_snapshot: {
          ...m,
          cpu_usage: Math.min(100, 18 * base + 4 * ownRoll()),
          load1: base * (0.9 + 0.3 * ownRoll()),
          used_ram: Math.round((2 + 1.3 * i) * 0.8 * GiB),
          used_disk: Math.round((20 + 21 * i) * GiB),
          disks: [
            { ...m.disks[0], used: Math.round((20 + 21 * i) * GiB), available: Math.round((230 - 21 * i) * GiB) },
          ],
        },
      };
    });
    for (let k = 0; k < 60; k += 20) await post(site, id, snapshots.slice(k, k + 20));
    await patchMachine(site, id, {
      polling_interval: id === "edge-nyc" ? 0.5 : 60,
      tags: id.startsWith("edge") ? ["edge"] : [id.split("-")[0], i % 2 ? "rack-2" : "rack-1"],
    });
  }
  await patchMachine(site, "build-1", { enabled: false });
  const id = "web-2";
  await register(site, id, {
    platform: "debian 12.11",
    cpu_count: 4,
    cpu_model: "AMD EPYC 7443P",
    kernel: "6.1.0-18-amd64",
    architecture: "x86_64",
  });
  const instants = Array.from({ length: 720 }, (_, k) => demoSnapshot(end, (719 - k) * 5000, 5000, roll));
  for (let k = 0; k < 720; k += 60) await post(site, id, instants.slice(k, k + 60));
  await patchMachine(site, id, { tags: ["web", "rack-2"] });
  const minute = (before) => new Date(end - before * 60_000).toISOString();
  return {
    id,
    end,
    before: minute(backupFrom + 2),
    during: minute((backupFrom + backupTo) / 2),
    postNext: () => post(site, id, [demoSnapshot(end, end - Date.now(), 5000, roll)]),
  };
}
