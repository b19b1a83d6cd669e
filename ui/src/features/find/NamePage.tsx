import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { findQuery, processHistoryQuery } from "../../api/history";
import { ProcessCharts } from "../../charts/ProcessCharts";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { TimeRangePicker } from "../../components/TimeRangePicker";
import { useNow } from "../../hooks/useNow";
import { MatchList } from "./MatchList";
import { iso, resolveWindow, zoomRange } from "../../time/range";

/** In milliseconds. */
const lookAgain = 300_000;

/** All processes of one name on all machines: what they use together, and where they run. */
export function NamePage() {
  const { name } = useParams({ from: "/processes/$name" });
  const { span = "1d", from, to } = useSearch({ from: "/processes/$name" });
  const navigate = useNavigate({ from: "/processes/$name" });
  const window = resolveWindow({ span, from, to }, useNow());
  const life = useQuery(processHistoryQuery({ name }, window));
  // A window that moves is looked at anew now and then, not every time it moves.
  const [begin, end] = [window.from, window.to].map((at) =>
    window.moving ? Math.ceil(at / lookAgain) * lookAgain : at,
  ) as [number, number];
  const found = useQuery(findQuery({ name, from: iso(begin), to: iso(end) }));
  const error = life.error ?? found.error;
  return (
    <main>
      <div className="heading">
        <nav aria-label="Breadcrumb">
          <Link to="/">Machines</Link>
          <span aria-hidden="true"> / </span>
        </nav>
        <h1>{name}</h1>
        <span className="quiet">on every machine</span>
        <span className="spacer" />
        <TimeRangePicker
          range={{ span, from, to }}
          onChange={(range) =>
            void navigate({
              search: { span: range.from ? undefined : (range.span ?? "1h"), from: range.from, to: range.to },
              resetScroll: false,
            })
          }
        />
      </div>
      <ProgressBar busy={life.isFetching || found.isFetching} />
      {error && (
        <Notice kind="error" title="It could not be read.">
          {error.message}
        </Notice>
      )}
      <ProcessCharts
        many
        loading={life.isPending}
        points={life.data?.points ?? []}
        raw={false}
        window={window}
        mark={undefined}
        onZoom={(begin, end) => void navigate({ search: zoomRange(begin, end), resetScroll: false })}
      />
      <h2 className="page-title">Where it ran</h2>
      {found.data && <MatchList answer={found.data} at={undefined} />}
    </main>
  );
}
