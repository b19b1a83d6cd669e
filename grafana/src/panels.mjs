// The kinds of panels and variables of the dashboards.
import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import * as prometheus from "@grafana/grafana-foundation-sdk/prometheus";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as table from "@grafana/grafana-foundation-sdk/table";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";

export const sqlSource = { type: "grafana-postgresql-datasource", uid: "snapwatch-sql" };
export const prometheusSource = { type: "prometheus", uid: "snapwatch-prometheus" };

/**
 * A query of the PostgreSQL data source; the SDK has no type for it.
 * @param {string} text
 * @param {'table' | 'time_series'} format
 */
export function sql(text, format, refId = "A") {
  const rawSql = text.replace(/\s+/g, " ").trim();
  return {
    build: () =>
      /** @type {any} */ ({ refId, datasource: sqlSource, format, rawQuery: true, editorMode: "code", rawSql }),
  };
}

/** @param {string} expr @param {string} legend */
export function promql(expr, legend, refId = "A") {
  return new prometheus.DataqueryBuilder()
    .refId(refId)
    .datasource(prometheusSource)
    .expr(expr.replace(/\s+/g, " ").trim())
    .legendFormat(legend)
    .range();
}

/**
 * @typedef {{ build: () => any }} Query
 * @typedef {{
 *   title: string, description?: string, unit?: string, min?: number, max?: number, span?: number, height?: number,
 *   stacked?: boolean, queries: Query[], links?: any[],
 * }} Options
 */

/** A chart of lines over time. @param {Options} o */
export function lines(o) {
  const panel = new timeseries.PanelBuilder()
    .title(o.title)
    .span(o.span ?? 12)
    .height(o.height ?? 8)
    .lineWidth(1)
    .fillOpacity(o.stacked ? 40 : 10)
    .showPoints(common.VisibilityMode.Auto)
    .spanNulls(false)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([]),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
    );
  if (o.stacked) panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal));
  return finish(panel, o);
}

/**
 * A table. Widths and units are set for each column.
 *
 * @param {Options & {
 *   columns?: Record<string, { unit?: string, title?: string, width?: number, links?: any[] }>,
 * }} o
 */
export function rows(o) {
  const panel = new table.PanelBuilder()
    .title(o.title)
    .span(o.span ?? 12)
    .height(o.height ?? 10)
    .filterable(true);
  for (const [name, column] of Object.entries(o.columns ?? {})) {
    const properties = [];
    if (column.unit) properties.push({ id: "unit", value: column.unit });
    if (column.title) properties.push({ id: "displayName", value: column.title });
    if (column.width) properties.push({ id: "custom.width", value: column.width });
    if (column.links) properties.push({ id: "links", value: column.links });
    panel.overrideByName(name, properties);
  }
  return finish(panel, o);
}

/** A panel of single numbers. @param {Options & { columns?: Record<string, { unit?: string, title?: string }> }} o */
export function numbers(o) {
  const panel = new stat.PanelBuilder()
    .title(o.title)
    .span(o.span ?? 24)
    .height(o.height ?? 4)
    .graphMode(common.BigValueGraphMode.None)
    .colorMode(common.BigValueColorMode.Value)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]).values(false).fields(""));
  for (const [name, column] of Object.entries(o.columns ?? {})) {
    const properties = [];
    if (column.unit) properties.push({ id: "unit", value: column.unit });
    if (column.title) properties.push({ id: "displayName", value: column.title });
    panel.overrideByName(name, properties);
  }
  return finish(panel, o);
}

/** @template {lines extends never ? never : any} P @param {P} panel @param {Options} o @returns {P} */
function finish(panel, o) {
  const p = /** @type {any} */ (panel);
  if (o.description) p.description(o.description);
  if (o.unit) p.unit(o.unit);
  if (o.min !== undefined) p.min(o.min);
  if (o.max !== undefined) p.max(o.max);
  if (o.links) p.dataLinks(o.links.map((link) => ({ build: () => link })));
  p.datasource(o.queries[0].build().datasource);
  for (const query of o.queries) p.withTarget(query);
  return panel;
}

/** A link to snapwatch that opens the machine at the moment of the clicked point. */
export const openInstant = {
  title: "Show the processes of this moment",
  url: "${snapwatch}/machines/${machine}?at=${__value.time}",
  targetBlank: true,
};

/** A variable with the URL of snapwatch, for links. */
export function address() {
  return new dashboard.TextBoxVariableBuilder("snapwatch").label("snapwatch").defaultValue("http://localhost:8420");
}

/** A variable whose choices come from a query. @param {string} name @param {string} label @param {string} text */
export function choice(name, label, text) {
  return new dashboard.QueryVariableBuilder(name)
    .label(label)
    .datasource(sqlSource)
    .query(text.replace(/\s+/g, " ").trim())
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.Disabled);
}

/** A variable with the machines, by host name. */
export function machine() {
  return choice(
    "machine",
    "Machine",
    `SELECT label AS __text, machine_id AS __value FROM ${labelledMachines} m ORDER BY 1, 2`,
  );
}

/**
 * A hidden variable with the rollup for the time range, so that any range has a few hundred points.
 */
export function resolution() {
  return choice(
    "resolution",
    "Resolution",
    `SELECT CASE WHEN \${__to} - \${__from} <= 6 * 3600000::bigint THEN '1m' WHEN \${__to} - \${__from} <= 14 * 86400000::bigint THEN '1h'
      WHEN \${__to} - \${__from} <= 60 * 86400000::bigint THEN '3h' ELSE '1d' END`,
  ).hide(dashboard.VariableHide.HideVariable);
}

/** The same for processes, whose finest rollup has buckets of an hour. */
export function processResolution() {
  return choice(
    "process_resolution",
    "Resolution of processes",
    `SELECT CASE WHEN \${__to} - \${__from} <= 14 * 86400000::bigint THEN '1h' WHEN \${__to} - \${__from} <= 60 * 86400000::bigint THEN '3h' ELSE '1d' END`,
  ).hide(dashboard.VariableHide.HideVariable);
}

/** SQL for the width of a bucket. @param {'resolution' | 'process_resolution'} variable */
export const width = (variable) =>
  `CASE '\${${variable}:raw}' WHEN '1m' THEN interval '1 minute' WHEN '1h' THEN interval '1 hour'
    WHEN '3h' THEN interval '3 hours' ELSE interval '24 hours' END`;

/**
 * SQL for the buckets that overlap the time range. The API returns the same buckets. $__timeFilter would leave out the
 * bucket that contains the start of the range. The column must be bucket_key, which can be 1 ms after the start.
 *
 * @param {string} column
 * @param {'resolution' | 'process_resolution'} variable
 */
export const inRange = (column, variable = "resolution") =>
  `${column} > $__timeFrom()::timestamptz + interval '1 ms' - ${width(variable)}
  AND ${column} < $__timeTo()`;

/**
 * SQL for the starts of all buckets of the time range, as g.time. A bucket without data has null values, so that lines
 * break there instead of crossing the gap.
 *
 * @param {'resolution' | 'process_resolution'} variable
 */
export const buckets = (variable = "resolution") =>
  `(SELECT generate_series(date_bin(width, $__timeFrom()::timestamptz, '2000-01-01 00:00:00+00'),
      $__timeTo()::timestamptz - interval '1 ms', width) AS time
    FROM (SELECT ${width(variable)} AS width) w) g`;

/**
 * SQL for a line of each metric, with all buckets.
 *
 * @param {string} points a query with the columns time, metric and value
 * @param {'resolution' | 'process_resolution'} variable
 */
export const lineForEach = (points, variable = "resolution") =>
  `WITH points AS (${points})
  SELECT g.time, m.metric, points.value FROM ${buckets(variable)} CROSS JOIN (SELECT DISTINCT metric FROM points) m
    LEFT JOIN points ON points.time = g.time AND points.metric = m.metric
  ORDER BY 1, 2`;

/**
 * SQL for the machines with a label: the host name, with the ID if several machines have that name,
 * shortened if it was generated. The pages of snapwatch use the same names: ui/src/api/machineName.ts.
 */
export const labelledMachines = `(SELECT id, machine_id, CASE WHEN hostname = '' THEN machine_id
    WHEN count(*) OVER (PARTITION BY hostname) = 1 THEN hostname
    WHEN machine_id ~ '^[0-9a-f]{32}$|^[0-9a-f]{8}-[0-9a-f]{4}-4' THEN hostname || ' (' || left(machine_id, 8) || ')'
    ELSE hostname || ' (' || machine_id || ')' END AS label FROM machines)`;

/** SQL for the rows of processes and of sums of short-lived ones, as r, with the time that the machine measured in each bucket, as b.interval_ms. */
export const measuredProcesses = `name_\${process_resolution:raw} r
  LEFT JOIN (SELECT machine, bucket_key, interval_ms FROM machine_\${process_resolution:raw}
    WHERE ${inRange("bucket_key", "process_resolution")}) b ON b.machine = r.machine AND b.bucket_key = r.bucket_key`;

/** @param {string} uid @param {string} title @param {string} description */
export function page(uid, title, description) {
  return new dashboard.DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(["snapwatch"])
    .timezone("browser")
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .refresh("1m")
    .time({ from: "now-6h", to: "now" })
    .readonly()
    .link(
      new dashboard.DashboardLinkBuilder("snapwatch")
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags(["snapwatch"])
        .includeVars(true)
        .keepTime(true)
        .asDropdown(true),
    );
}
