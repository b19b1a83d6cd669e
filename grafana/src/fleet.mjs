// The dashboard of all machines.
import {
  address,
  inRange,
  labelledMachines,
  lineForEach,
  lines,
  page,
  processResolution,
  resolution,
  rows,
  sql,
} from "./panels.mjs";

const toMachine = [
  {
    title: "Open the machine",
    url: "/d/snapwatch-machine?var-machine=${__data.fields.machine_id}&${__url_time_range}",
  },
];

/**
 * A panel with a line for each machine.
 *
 * @param {Omit<import('./panels.mjs').Options, 'queries'>} options
 * @param {string} column
 */
const perMachine = (options, column) =>
  lines({
    ...options,
    queries: [
      sql(
        lineForEach(
          `SELECT r.bucket AS time, m.label AS metric, ${column} AS value
          FROM machine_\${resolution:raw} r JOIN ${labelledMachines} m ON m.id = r.machine WHERE ${inRange("r.bucket_key")}`,
        ),
        "time_series",
      ),
    ],
  });

export const fleet = page(
  "snapwatch-fleet",
  "snapwatch / Fleet",
  "The current and past state of all machines, and the programs that ran on them.",
)
  .withVariable(address())
  .withVariable(resolution())
  .withVariable(processResolution())
  .withPanel(
    rows({
      title: "Machines",
      description: "Values of the latest snapshot of each machine.",
      span: 24,
      queries: [
        sql(
          `SELECT m.hostname, m.machine_id, m.last_seen, m.last_snapshot, s.cpu_usage, 100.0 * s.used_ram / nullif(s.total_ram, 0) AS memory, s.fullest_disk_usage AS disk,
            s.load1, s.process_count AS processes, m.os, m.kernel, m.agent_version
          FROM machines m LEFT JOIN snapshots s ON s.machine = m.id AND s.ts = m.last_snapshot ORDER BY m.hostname, m.machine_id`,
          "table",
        ),
      ],
      columns: {
        hostname: { title: "Host", links: toMachine },
        machine_id: { title: "ID", width: 120 },
        last_seen: { title: "Last seen", unit: "dateTimeFromNow" },
        last_snapshot: { title: "Latest snapshot", unit: "dateTimeFromNow" },
        cpu_usage: { title: "CPU", unit: "percent" },
        memory: { title: "Memory", unit: "percent" },
        disk: { title: "Fullest disk", unit: "percent" },
        load1: { title: "Load" },
        processes: { title: "Processes" },
        os: { title: "OS" },
        kernel: { title: "Kernel" },
        agent_version: { title: "Agent" },
      },
    }),
  )
  .withPanel(perMachine({ title: "CPU", unit: "percent", min: 0 }, "r.cpu_usage_avg"))
  .withPanel(
    perMachine(
      { title: "Memory used", unit: "percent", min: 0, max: 100 },
      "100.0 * r.used_ram_avg / nullif(r.total_ram, 0)",
    ),
  )
  .withPanel(perMachine({ title: "Load average, 1 min", min: 0 }, "r.load1_avg"))
  .withPanel(
    perMachine(
      { title: "Network, received and sent", unit: "Bps", min: 0 },
      `1000.0 * r.received_bytes / nullif(coalesce(r.received_ms, r.interval_ms), 0)
      + 1000.0 * r.sent_bytes / nullif(coalesce(r.sent_ms, r.interval_ms), 0)`,
    ),
  )
  .withPanel(
    rows({
      title: "Programs by CPU, all machines",
      description: "Totals over the hours of the time range. Processes with the same name are added up.",
      span: 24,
      queries: [
        sql(
          `SELECT r.name, count(DISTINCT r.machine) AS machines,
            (count(DISTINCT (r.machine, r.pid, r.started_at)) FILTER (WHERE r.pid IS NOT NULL) + sum(r.short_lived))::bigint AS processes, sum(r.cpu_us) / 1000000.0 AS cpu_seconds,
            max(r.memory_max) AS memory_max, sum(r.read_bytes) AS read_bytes, sum(r.write_bytes) AS write_bytes
          FROM name_\${process_resolution:raw} r JOIN machines m ON m.id = r.machine
          WHERE ${inRange("r.bucket_key", "process_resolution")}
          GROUP BY r.name ORDER BY cpu_seconds DESC NULLS LAST LIMIT 50`,
          "table",
        ),
      ],
      columns: {
        name: {
          title: "Name",
          links: [
            { title: "Show over time", url: "/d/snapwatch-processes?var-name=${__value.text}&${__url_time_range}" },
          ],
        },
        machines: { title: "Machines" },
        processes: { title: "Processes" },
        cpu_seconds: { title: "CPU time", unit: "s" },
        memory_max: { title: "Max memory", unit: "bytes" },
        read_bytes: { title: "Read", unit: "bytes" },
        write_bytes: { title: "Written", unit: "bytes" },
      },
    }),
  );
