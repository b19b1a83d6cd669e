// The dashboard of processes: usage by name over time, the process list of one moment, and changes.
import {
  address,
  buckets,
  choice,
  inRange,
  labelledMachines,
  lineForEach,
  lines,
  machine,
  measuredProcesses,
  openInstant,
  page,
  processResolution,
  rows,
  sql,
} from "./panels.mjs";

const name = choice(
  "name",
  "Name",
  `SELECT name FROM processes WHERE machine = (SELECT id FROM machines WHERE machine_id = \${machine:sqlstring})
    UNION SELECT name FROM short_lived_1d WHERE machine = (SELECT id FROM machines WHERE machine_id = \${machine:sqlstring}) ORDER BY name`,
);

const topColumns = {
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
  cpu_seconds: { title: "CPU time", unit: "s" },
  memory_avg: { title: "Memory", unit: "bytes" },
  memory_max: { title: "Max memory", unit: "bytes" },
  write_bytes: { title: "Written", unit: "bytes" },
  command_line: { title: "Command line" },
};

const instant = [{ title: "Open in snapwatch", url: "${snapwatch}/machines/${machine}?at=${__to}", targetBlank: true }];

/** A table of the machine's top processes. @param {string} what @param {string} order */
const top = (what, order) =>
  rows({
    title: `Processes by ${what}`,
    description:
      "Totals over the time range. One of more than two hours is extended to whole hours. Of processes that started and ended between two snapshots, only those with the highest usage are listed.",
    queries: [
      sql(
        `SELECT pid, name, cpu_ms / 1000.0 AS cpu_seconds, memory_avg, memory_max, write_bytes, command_line
        FROM process_top(\${machine:sqlstring}, $__timeFrom(), $__timeTo()) ORDER BY ${order} DESC NULLS LAST, pid LIMIT 20`,
        "table",
      ),
    ],
    columns: topColumns,
  });

/**
 * The divisor is the time that was measured: less than the bucket in the running hour, and where data is missing. It is
 * at least what a process ran, because late data can be missing in the rollups of machines for some minutes.
 */
const measured = "nullif(greatest(max(b.interval_ms), max(r.longest_ms)), 0)";
const cores = `sum(r.cpu_us) / 1000.0 / ${measured}`;
/** How many ran at once, on average. It is unknown if it is unknown of a process how long it ran. */
const running = `CASE WHEN count(*) = count(r.elapsed_ms) THEN 1.0 * sum(r.elapsed_ms) / ${measured} END`;

/** @typedef {Omit<import('./panels.mjs').Options, 'queries'>} Options */

/** A panel of the processes with a name, on the machine. @param {Options} options @param {string} columns */
const ofName = (options, columns) =>
  lines({
    ...options,
    min: 0,
    links: [openInstant],
    queries: [
      sql(
        `SELECT g.time, ${columns} FROM ${buckets("process_resolution")}
          LEFT JOIN (${measuredProcesses}) ON r.bucket = g.time
            AND r.machine = (SELECT id FROM machines WHERE machine_id = \${machine:sqlstring}) AND r.name = \${name:sqlstring}
            AND ${inRange("r.bucket_key", "process_resolution")} GROUP BY 1 ORDER BY 1`,
        "time_series",
      ),
    ],
  });

/** A panel of the processes with a name, on all machines, stacked. @param {Options} options @param {string} column */
const ofNameByMachine = (options, column) =>
  lines({
    ...options,
    min: 0,
    stacked: true,
    queries: [
      sql(
        lineForEach(
          `SELECT r.bucket AS time, m.label AS metric, ${column} AS value
          FROM ${measuredProcesses} JOIN ${labelledMachines} m ON m.id = r.machine
          WHERE r.name = \${name:sqlstring} AND ${inRange("r.bucket_key", "process_resolution")} GROUP BY 1, 2`,
          "process_resolution",
        ),
        "time_series",
      ),
    ],
  });

export const processes = page(
  "snapwatch-processes",
  "snapwatch / Processes",
  "Processes on one machine and on all machines: usage over time, the process list of one moment, and changes.",
)
  .withVariable(machine())
  .withVariable(processResolution())
  .withVariable(name)
  .withVariable(address())
  .withPanel(top("CPU", "cpu_ms"))
  .withPanel(top("memory", "memory_avg"))
  .withPanel(
    ofName(
      { title: "$name on this machine: CPU", description: "1 means one core in constant use." },
      `${cores} AS cores`,
    ),
  )
  .withPanel(
    ofName(
      { title: "$name on this machine: memory per process", unit: "bytes" },
      `coalesce(sum(r.memory_avg * r.memory_ms) / nullif(sum(r.memory_ms)
      FILTER (WHERE r.memory_avg IS NOT NULL), 0)::double precision, avg(r.memory_avg)) AS average,
      max(r.memory_max) AS maximum`,
    ),
  )
  .withPanel(
    ofNameByMachine({ title: "$name on all machines: CPU", description: "1 means one core in constant use." }, cores),
  )
  .withPanel(
    ofNameByMachine(
      { title: "$name on all machines: processes", description: "How many ran at once, on average." },
      running,
    ),
  )
  .withPanel(
    rows({
      title: "All processes at the end of the time range",
      description: "From the last snapshot before the end of the time range.",
      span: 24,
      height: 14,
      queries: [
        sql(
          `SELECT snapshot_ts, pid, ppid, name, user_name, state, cpu_usage, memory_usage, threads, started_at, command_line
          FROM process_at(\${machine:sqlstring}, $__timeTo()) ORDER BY cpu_usage DESC NULLS LAST, memory_usage DESC NULLS LAST, pid`,
          "table",
        ),
      ],
      columns: {
        snapshot_ts: { title: "Snapshot", links: instant },
        pid: { title: "PID", width: 90 },
        ppid: { title: "Parent", width: 90 },
        name: { title: "Name" },
        user_name: { title: "User" },
        state: { title: "State", width: 70 },
        cpu_usage: { title: "CPU", unit: "percent" },
        memory_usage: { title: "Memory", unit: "bytes" },
        threads: { title: "Threads", width: 90 },
        started_at: { title: "Started" },
        command_line: { title: "Command line" },
      },
    }),
  )
  .withPanel(
    rows({
      title: "Processes that started or ended within the time range",
      span: 24,
      queries: [
        sql(
          `SELECT CASE WHEN a.pid IS NULL THEN 'started' ELSE 'ended' END AS what, coalesce(b.pid, a.pid) AS pid, coalesce(b.name, a.name) AS name, coalesce(b.user_name, a.user_name) AS user_name,
            coalesce(b.memory_usage, a.memory_usage) AS memory_usage, coalesce(b.started_at, a.started_at) AS started_at, coalesce(b.command_line, a.command_line) AS command_line
          FROM process_at(\${machine:sqlstring}, $__timeFrom()) a FULL JOIN process_at(\${machine:sqlstring}, $__timeTo()) b ON a.pid = b.pid AND a.started_at IS NOT DISTINCT FROM b.started_at
          WHERE a.pid IS NULL OR b.pid IS NULL ORDER BY what DESC, memory_usage DESC NULLS LAST, pid LIMIT 500`,
          "table",
        ),
      ],
      columns: {
        what: { title: "Change", width: 90 },
        pid: { title: "PID", width: 90 },
        name: { title: "Name" },
        user_name: { title: "User" },
        memory_usage: { title: "Memory", unit: "bytes" },
        started_at: { title: "Started" },
        command_line: { title: "Command line" },
      },
    }),
  );
