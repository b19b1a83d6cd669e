import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { findQuery, processHistoryQuery } from "../../api/history";
import { ProcessCharts } from "../../charts/ProcessCharts";
import { useCommonGaps } from "../../charts/useGaps";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { TimeRangePicker } from "../../components/TimeRangePicker";
import { useNow } from "../../hooks/useNow";
import { type RangeSearch, type TimeWindow, iso, resolveWindow, zoomRange } from "../../time/range";
import { MatchList } from "./MatchList";
import { machinesOf } from "./machinesOf";
import { UnknownUsageNotice } from "./UnknownUsageNotice";
import { UnmeasuredNotice } from "./UnmeasuredNotice";
import { unknownUsage } from "./unknownUsage";
import { unmeasured } from "./unmeasured";

/** How often the list of machines is reloaded while the window moves, in milliseconds. */
const reloadInterval = 300_000;

/** Extends a moving window to multiples of the reload interval, so that the list is not reloaded more often. */
function extendWindow({ from, to, moving }: TimeWindow): { from: string; to: string } {
  const unit = moving ? reloadInterval : 1;
  return { from: iso(Math.floor(from / unit) * unit), to: iso(Math.ceil(to / unit) * unit) };
}

/** The total resource usage of all processes of a name, and the machines on which they run. */
export function NamePage() {
  const { name } = useParams({ from: "/processes/$name" });
  const { span = "1d", from, to } = useSearch({ from: "/processes/$name" });
  const navigate = useNavigate({ from: "/processes/$name" });
  const window = resolveWindow({ span, from, to }, useNow());
  const history = useQuery(processHistoryQuery({ name }, window));
  const criteria = { name, ...extendWindow(window) };
  const found = useQuery(findQuery(criteria));
  const gaps = useCommonGaps(machinesOf(found.data), window);
  const incomplete = useMemo(
    () => (history.data ? unmeasured(history.data, history.dataUpdatedAt) : []),
    [history.data, history.dataUpdatedAt],
  );
  const error = history.error ?? found.error;
  const setRange = (search: RangeSearch) => void navigate({ search, resetScroll: false });
  return (
    <main>
      <div className="heading">
        <nav aria-label="Breadcrumb">
          <Link to="/">Machines</Link>
          <span aria-hidden="true"> / </span>
        </nav>
        <h1>{name}</h1>
        <span className="quiet">on all machines</span>
        <span className="spacer" />
        <TimeRangePicker
          range={{ span, from, to }}
          window={window}
          onChange={(range) => setRange(range.from ? { from: range.from, to: range.to } : { span: range.span ?? "1h" })}
        />
      </div>
      <ProgressBar busy={history.isFetching || found.isFetching} />
      {error && (
        <Notice kind="error" title="Could not load the history.">
          {error.message}
        </Notice>
      )}
      {history.data?.truncated && (
        <Notice title="Too many points for one chart.">Select a shorter time range to see all of them.</Notice>
      )}
      <UnmeasuredNotice times={incomplete} />
      <UnknownUsageNotice unknown={history.data ? unknownUsage(history.data) : []} />
      <ProcessCharts
        aggregate
        incomplete={incomplete}
        loading={history.isPending}
        points={history.data?.points ?? []}
        resolution={history.data?.resolution}
        loadedAt={history.dataUpdatedAt}
        gaps={gaps}
        window={window}
        mark={undefined}
        onZoom={(begin, end) => setRange(zoomRange(begin, end))}
      />
      <h2 className="page-title">Machines</h2>
      {found.data && <MatchList criteria={criteria} answer={found.data} at={undefined} />}
    </main>
  );
}
