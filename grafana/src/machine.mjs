// The dashboard of one machine.
import {
  address,
  buckets,
  inRange,
  lines,
  machine as machineVariable,
  numbers,
  openInstant,
  page,
  resolution,
  rows,
  sql,
  width,
} from "./panels.mjs";

/** @param {string} columns */
const series = (columns) =>
  sql(
    `SELECT g.time, ${columns} FROM ${buckets()} LEFT JOIN machine_\${resolution:raw} r
      ON r.machine = (SELECT id FROM machines WHERE machine_id = \${machine:sqlstring}) AND r.bucket = g.time AND ${inRange("r.bucket_key")}
    ORDER BY 1`,
    "time_series",
  );

export const machine = page(
  "snapwatch-machine",
  "snapwatch / Machine",
  "One machine over time. Click a line to open the processes of that moment in snapwatch.",
)
  .withVariable(machineVariable())
  .withVariable(address())
  .withVariable(resolution())
  .withPanel(
    numbers({
      title: "Latest snapshot",
      queries: [
        sql(
          `SELECT s.cpu_usage, 100.0 * s.used_ram / nullif(s.total_ram, 0) AS memory, s.fullest_disk_usage AS disk, s.load1,
            s.process_count AS processes, s.uptime_ms / 1000.0 AS uptime, (extract(epoch FROM s.ts) * 1000)::bigint AS taken
          FROM machines m JOIN snapshots s ON s.machine = m.id AND s.ts = m.last_snapshot WHERE m.machine_id = \${machine:sqlstring}`,
          "table",
        ),
      ],
      columns: {
        cpu_usage: { title: "CPU", unit: "percent" },
        memory: { title: "Memory", unit: "percent" },
        disk: { title: "Fullest disk", unit: "percent" },
        load1: { title: "Load" },
        processes: { title: "Processes" },
        uptime: { title: "Uptime", unit: "s" },
        taken: { title: "Time", unit: "dateTimeFromNow" },
      },
    }),
  )
  .withPanel(
    lines({
      title: "CPU",
      unit: "percent",
      min: 0,
      links: [openInstant],
      queries: [series("cpu_usage_avg AS average, cpu_usage_max AS maximum")],
    }),
  )
  .withPanel(
    lines({
      title: "Load",
      min: 0,
      links: [openInstant],
      queries: [series('load1_avg AS "1 min", load5_avg AS "5 min", load15_avg AS "15 min", load1_max AS maximum')],
    }),
  )
  .withPanel(
    lines({
      title: "Memory",
      unit: "bytes",
      min: 0,
      links: [openInstant],
      queries: [
        series(
          'used_ram_avg AS used, used_ram_max AS "max used", available_ram_min AS "min available", total_ram AS total',
        ),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Cache and shared memory",
      unit: "bytes",
      min: 0,
      links: [openInstant],
      queries: [
        series("cached_ram_avg AS cache, shared_ram_avg AS shared, buffers_ram_avg AS buffers, slab_ram_avg AS slab"),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Swap",
      unit: "bytes",
      min: 0,
      links: [openInstant],
      queries: [series('used_swap_avg AS used, used_swap_max AS "max used", total_swap AS total')],
    }),
  )
  .withPanel(
    lines({
      title: "Disk space",
      unit: "bytes",
      min: 0,
      queries: [series('used_disk_avg AS used, available_disk_min AS "min available", total_disk AS total')],
    }),
  )
  .withPanel(
    rows({
      title: "File systems",
      description: "Disks of the latest snapshot, the fullest first. Values of those that did not answer are old.",
      queries: [
        sql(
          `SELECT d.mount, d.device, d.fs_type,
            100.0 * d.used / nullif(d.used + coalesce(d.available, d.total - d.used), 0) AS usage,
            d.used, coalesce(d.available, d.total - d.used) AS available, d.total,
            CASE WHEN d.mount = ANY(s.stale) THEN 'no answer' WHEN d.read_only THEN 'read-only' ELSE '' END AS state
          FROM machines m JOIN snapshots s ON s.machine = m.id AND s.ts = m.last_snapshot
            JOIN disk_samples d ON d.machine = s.machine AND d.ts = s.ts
          WHERE m.machine_id = \${machine:sqlstring} ORDER BY usage DESC NULLS LAST, d.mount`,
          "table",
        ),
      ],
      columns: {
        mount: { title: "Mount point" },
        device: { title: "Device" },
        fs_type: { title: "Type" },
        usage: { title: "Used", unit: "percent" },
        used: { title: "Used", unit: "bytes" },
        available: { title: "Available", unit: "bytes" },
        total: { title: "Size", unit: "bytes" },
        state: { title: "State" },
      },
    }),
  )
  .withPanel(
    lines({
      title: "Disks",
      unit: "Bps",
      min: 0,
      links: [openInstant],
      queries: [
        series(
          "1000.0 * read_bytes / nullif(coalesce(read_ms, interval_ms), 0) AS read, 1000.0 * write_bytes / nullif(coalesce(write_ms, interval_ms), 0) AS written",
        ),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Network",
      unit: "Bps",
      min: 0,
      links: [openInstant],
      queries: [
        series(
          "1000.0 * received_bytes / nullif(coalesce(received_ms, interval_ms), 0) AS received, 1000.0 * sent_bytes / nullif(coalesce(sent_ms, interval_ms), 0) AS sent",
        ),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Processes",
      min: 0,
      links: [openInstant],
      queries: [series("process_count_avg AS average, process_count_max AS maximum")],
    }),
  )
  .withPanel(
    rows({
      title: "Processes by CPU",
      description: "Totals over the time range. One of more than two hours is extended to whole hours.",
      span: 24,
      queries: [
        sql(
          `SELECT pid, name, user_name, cpu_ms / 1000.0 AS cpu_seconds, memory_avg, memory_max, threads_max, read_bytes, write_bytes, started_at, command_line
          FROM process_top(\${machine:sqlstring}, $__timeFrom(), $__timeTo()) LIMIT 50`,
          "table",
        ),
      ],
      columns: {
        pid: { title: "PID", width: 90 },
        name: {
          title: "Name",
          links: [
            {
              title: "Show this name over time",
              url: "/d/snapwatch-processes?var-machine=${machine}&var-name=${__value.text}&${__url_time_range}",
            },
          ],
        },
        user_name: { title: "User" },
        cpu_seconds: { title: "CPU time", unit: "s" },
        memory_avg: { title: "Memory", unit: "bytes" },
        memory_max: { title: "Max memory", unit: "bytes" },
        threads_max: { title: "Threads" },
        read_bytes: { title: "Read", unit: "bytes" },
        write_bytes: { title: "Written", unit: "bytes" },
        started_at: { title: "Started" },
        command_line: { title: "Command line" },
      },
    }),
  );
