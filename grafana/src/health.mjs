// The dashboard of the server's health.
import { lines, numbers, page, promql } from "./panels.mjs";

export const health = page(
  "snapwatch-health",
  "snapwatch / Server health",
  "Metrics of the snapwatch server. docs/metrics.md describes all of them, and docs/alerts.md explains the alerts.",
)
  .withPanel(numbers({ title: "Servers up", span: 4, queries: [promql('sum(up{job="snapwatch"})', "up")] }))
  .withPanel(
    numbers({ title: "Machines", span: 8, queries: [promql("max by (state) (snapwatch_machines)", "{{state}}")] }),
  )
  .withPanel(
    numbers({
      title: "Database size",
      span: 4,
      unit: "bytes",
      queries: [promql("max(sum by (instance) (snapwatch_store_relation_bytes))", "bytes")],
    }),
  )
  .withPanel(
    numbers({
      title: "Age of the oldest snapshot",
      span: 4,
      unit: "s",
      queries: [promql("time() - min(snapwatch_store_oldest_timestamp_seconds > 0)", "age")],
    }),
  )
  .withPanel(
    numbers({ title: "Version", span: 4, queries: [promql("max by (version) (snapwatch_build_info)", "{{version}}")] }),
  )
  .withPanel(
    lines({
      title: "Snapshots stored",
      unit: "ops",
      min: 0,
      queries: [promql("sum by (instance) (rate(snapwatch_store_snapshots_total[$__rate_interval]))", "{{instance}}")],
    }),
  )
  .withPanel(
    lines({
      title: "Process samples stored",
      unit: "ops",
      min: 0,
      queries: [
        promql("sum by (instance) (rate(snapwatch_store_process_samples_total[$__rate_interval]))", "{{instance}}"),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Snapshot requests by result",
      unit: "reqps",
      min: 0,
      queries: [promql("sum by (result) (rate(snapwatch_ingest_requests_total[$__rate_interval])) > 0", "{{result}}")],
    }),
  )
  .withPanel(
    lines({
      title: "Request and commit duration",
      unit: "s",
      min: 0,
      queries: [
        promql(
          "histogram_quantile(0.99, sum by (le) (rate(snapwatch_ingest_request_seconds_bucket[$__rate_interval])))",
          "request, p99",
          "A",
        ),
        promql(
          "histogram_quantile(0.5, sum by (le) (rate(snapwatch_ingest_request_seconds_bucket[$__rate_interval])))",
          "request, p50",
          "B",
        ),
        promql(
          "histogram_quantile(0.99, sum by (le) (rate(snapwatch_store_commit_seconds_bucket[$__rate_interval])))",
          "commit, p99",
          "C",
        ),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Rows in the write queue",
      min: 0,
      queries: [
        promql("snapwatch_ingest_queue_rows", "{{instance}}", "A"),
        promql("snapwatch_ingest_queue_limit_rows", "limit of {{instance}}", "B"),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Snapshots per request, requests per commit",
      min: 0,
      queries: [
        promql(
          "rate(snapwatch_ingest_batch_snapshots_sum[$__rate_interval]) / rate(snapwatch_ingest_batch_snapshots_count[$__rate_interval])",
          "snapshots per request",
          "A",
        ),
        promql(
          "rate(snapwatch_ingest_group_posts_sum[$__rate_interval]) / rate(snapwatch_ingest_group_posts_count[$__rate_interval])",
          "requests per commit",
          "B",
        ),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Duplicate snapshots",
      unit: "ops",
      min: 0,
      queries: [promql("sum by (instance) (rate(snapwatch_store_duplicates_total[$__rate_interval]))", "{{instance}}")],
    }),
  )
  .withPanel(
    lines({
      title: "Notification latency",
      unit: "s",
      min: 0,
      queries: [
        promql(
          "histogram_quantile(0.99, sum by (le) (rate(snapwatch_live_notice_lag_seconds_bucket[$__rate_interval])))",
          "p99",
        ),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Live views",
      min: 0,
      queries: [
        promql("snapwatch_live_sockets", "sockets", "A"),
        promql("snapwatch_live_machines", "machines watched", "B"),
        promql("increase(snapwatch_live_slow_clients_total[$__rate_interval])", "slow clients disconnected", "C"),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Query duration, p99",
      unit: "s",
      min: 0,
      queries: [
        promql(
          "histogram_quantile(0.99, sum by (le, kind) (rate(snapwatch_store_read_seconds_bucket[$__rate_interval]))) > 0",
          "{{kind}}",
        ),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Database connections",
      min: 0,
      queries: [
        promql("snapwatch_store_connections_in_use", "{{pool}} in use", "A"),
        promql("snapwatch_store_connections_max", "{{pool}} limit", "B"),
        promql("rate(snapwatch_store_connection_wait_seconds_total[$__rate_interval])", "{{pool}} waiting", "C"),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Size by relation",
      unit: "bytes",
      min: 0,
      stacked: true,
      queries: [promql("max by (relation) (snapwatch_store_relation_bytes)", "{{relation}}")],
    }),
  )
  .withPanel(
    lines({
      title: "Rollup delay and partitions ahead",
      min: 0,
      queries: [
        promql("max(snapwatch_store_rollups_behind_seconds) / 3600", "hours behind", "A"),
        promql("min(snapwatch_store_partitions_ahead_seconds) / 86400", "days ahead", "B"),
      ],
    }),
  )
  .withPanel(
    lines({
      title: "Retention",
      unit: "d",
      min: 0,
      queries: [promql("max by (level) (snapwatch_store_retention_seconds) / 86400", "{{level}}")],
    }),
  )
  .withPanel(
    lines({
      title: "Server CPU and memory",
      min: 0,
      queries: [
        promql('rate(process_cpu_seconds_total{job="snapwatch"}[$__rate_interval])', "cores", "A"),
        promql('process_resident_memory_bytes{job="snapwatch"} / 1e9', "GB of memory", "B"),
      ],
    }),
  );
