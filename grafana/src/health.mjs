// Is snapwatch healthy?
import { lines, numbers, page, promql } from './panels.mjs'

export const health = page('snapwatch-health', 'snapwatch / Server health', "What snapwatch's own metrics say. docs/metrics.md has all of them, docs/alerts.md what to do.")
  .withPanel(numbers({ title: 'Servers up', span: 4, queries: [promql('sum(up{job="snapwatch"})', 'up')] }))
  .withPanel(numbers({ title: 'Machines', span: 8, queries: [promql('max by (state) (snapwatch_machines)', '{{state}}')] }))
  .withPanel(numbers({ title: 'Kept on disk', span: 4, unit: 'bytes', queries: [promql('max(sum by (instance) (snapwatch_store_relation_bytes))', 'bytes')] }))
  .withPanel(numbers({ title: 'Oldest snapshot', span: 4, unit: 's', queries: [promql('time() - min(snapwatch_store_oldest_timestamp_seconds > 0)', 'age')] }))
  .withPanel(numbers({ title: 'Version', span: 4, queries: [promql('max by (version) (snapwatch_build_info)', '{{version}}')] }))
  .withPanel(lines({ title: 'Snapshots stored', unit: 'ops', min: 0, queries: [promql('sum by (instance) (rate(snapwatch_store_snapshots_total[$__rate_interval]))', '{{instance}}')] }))
  .withPanel(lines({ title: 'Rows of process samples', unit: 'ops', min: 0, queries: [promql('sum by (instance) (rate(snapwatch_store_process_samples_total[$__rate_interval]))', '{{instance}}')] }))
  .withPanel(lines({ title: 'Posts by result', unit: 'reqps', min: 0, queries: [promql('sum by (result) (rate(snapwatch_ingest_requests_total[$__rate_interval])) > 0', '{{result}}')] }))
  .withPanel(
    lines({
      title: 'Time of a post, and of a commit',
      unit: 's',
      min: 0,
      queries: [
        promql('histogram_quantile(0.99, sum by (le) (rate(snapwatch_ingest_request_seconds_bucket[$__rate_interval])))', 'post, p99', 'A'),
        promql('histogram_quantile(0.5, sum by (le) (rate(snapwatch_ingest_request_seconds_bucket[$__rate_interval])))', 'post, half', 'B'),
        promql('histogram_quantile(0.99, sum by (le) (rate(snapwatch_store_commit_seconds_bucket[$__rate_interval])))', 'commit, p99', 'C'),
      ],
    }),
  )
  .withPanel(
    lines({
      title: 'Rows that wait',
      min: 0,
      queries: [promql('snapwatch_ingest_queue_rows', '{{instance}}', 'A'), promql('snapwatch_ingest_queue_limit_rows', 'limit of {{instance}}', 'B')],
    }),
  )
  .withPanel(
    lines({
      title: 'Snapshots a post, posts a commit',
      min: 0,
      queries: [
        promql('rate(snapwatch_ingest_batch_snapshots_sum[$__rate_interval]) / rate(snapwatch_ingest_batch_snapshots_count[$__rate_interval])', 'snapshots a post', 'A'),
        promql('rate(snapwatch_ingest_group_posts_sum[$__rate_interval]) / rate(snapwatch_ingest_group_posts_count[$__rate_interval])', 'posts a commit', 'B'),
      ],
    }),
  )
  .withPanel(
    lines({ title: 'Duplicates turned away', unit: 'ops', min: 0, queries: [promql('sum by (instance) (rate(snapwatch_store_duplicates_total[$__rate_interval]))', '{{instance}}')] }),
  )
  .withPanel(
    lines({
      title: 'From commit to notice',
      unit: 's',
      min: 0,
      queries: [promql('histogram_quantile(0.99, sum by (le) (rate(snapwatch_live_notice_lag_seconds_bucket[$__rate_interval])))', 'p99')],
    }),
  )
  .withPanel(
    lines({
      title: 'Live views',
      min: 0,
      queries: [
        promql('snapwatch_live_sockets', 'sockets', 'A'),
        promql('snapwatch_live_machines', 'machines watched', 'B'),
        promql('increase(snapwatch_live_slow_clients_total[$__rate_interval])', 'slow clients closed', 'C'),
      ],
    }),
  )
  .withPanel(
    lines({
      title: 'Time of reads, p99',
      unit: 's',
      min: 0,
      queries: [promql('histogram_quantile(0.99, sum by (le, kind) (rate(snapwatch_store_read_seconds_bucket[$__rate_interval]))) > 0', '{{kind}}')],
    }),
  )
  .withPanel(
    lines({
      title: 'Database connections',
      min: 0,
      queries: [
        promql('snapwatch_store_connections_in_use', 'in use', 'A'),
        promql('snapwatch_store_connections_max', 'most', 'B'),
        promql('rate(snapwatch_store_connection_wait_seconds_total[$__rate_interval])', 'waiting', 'C'),
      ],
    }),
  )
  .withPanel(lines({ title: 'On disk', unit: 'bytes', min: 0, stacked: true, queries: [promql('max by (relation) (snapwatch_store_relation_bytes)', '{{relation}}')] }))
  .withPanel(
    lines({
      title: 'Rollups behind; days of partitions ahead',
      min: 0,
      queries: [promql('max(snapwatch_store_rollups_behind_seconds) / 3600', 'hours behind', 'A'), promql('min(snapwatch_store_partitions_ahead_seconds) / 86400', 'days ahead', 'B')],
    }),
  )
  .withPanel(lines({ title: 'Kept for', unit: 'd', min: 0, queries: [promql('max by (level) (snapwatch_store_retention_seconds) / 86400', '{{level}}')] }))
  .withPanel(
    lines({
      title: 'The server itself',
      min: 0,
      queries: [promql('rate(process_cpu_seconds_total{job="snapwatch"}[$__rate_interval])', 'cores', 'A'), promql('process_resident_memory_bytes{job="snapwatch"} / 1e9', 'GB of memory', 'B')],
    }),
  )
