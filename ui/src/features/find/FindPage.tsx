import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { findQuery } from "../../api/history";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { DateTime } from "../../components/Timestamps";
import { dateTime } from "../../format";
import { iso } from "../../time/range";
import { toOffsetIso } from "../../time/zone";
import { ExitFilter } from "./ExitFilter";
import { MatchList } from "./MatchList";
import { type ClockChange, type ParsedSearch, parseSearch } from "./parseSearch";

const examples = [
  "postgres",
  "postgres yesterday at 3",
  "nginx 2 h ago",
  "cron between 15:48 and 15:50",
  "python last 3 days",
  "backup.sh monday at 2:30",
  "java 2026-11-01 23:59",
];

/** Finds processes on all machines by name or command line, by time, and by how they ended. */
export function FindPage() {
  const { q = "", exit } = useSearch({ from: "/find" });
  return <Find key={q} query={q} exit={exit} />;
}

function Find({ query, exit }: { query: string; exit: string | undefined }) {
  const navigate = useNavigate({ from: "/find" });
  // Relative times refer to the moment of the search, so the text is parsed only once.
  const [search] = useState(() => parseSearch(query, Date.now()));
  const isSearch = search.text !== "" || exit !== undefined;
  return (
    <main>
      <div className="heading">
        <h1>Find processes</h1>
        {isSearch && <SearchSummary search={search} />}
        <span className="spacer" />
        <ExitFilter
          filter={exit}
          onChange={(filter) => void navigate({ search: (previous) => ({ ...previous, exit: filter }) })}
        />
      </div>
      {search.text && search.clockChange && <ClockChangeNotice text={search.text} change={search.clockChange} />}
      {search.unparsed && <UnparsedNotice words={search.unparsed} />}
      {isSearch ? <Results search={search} exit={exit} /> : <Examples />}
    </main>
  );
}

function SearchSummary({ search: { text, time } }: { search: ParsedSearch }) {
  return (
    <span data-testid="search">
      <strong>{text || "All processes"}</strong>{" "}
      <span className="quiet">
        {"at" in time ? (
          <>
            at <DateTime at={iso(time.at)} />
          </>
        ) : (
          <>
            from <DateTime at={iso(time.from)} /> to <DateTime at={iso(time.to)} />
          </>
        )}
      </span>
    </span>
  );
}

/** Says that words that look like a time are searched as text. */
function UnparsedNotice({ words }: { words: string }) {
  return (
    <Notice title={`“${words}” is searched as text.`}>
      It may be part of a time that was not understood. You can write times such as “monday at 2:30”, “nov 25 15:49” and
      “from 15:48 to 15:50”.
    </Notice>
  );
}

/** Explains a time that occurs twice, or not at all, because the clocks of the user's time zone are set. */
function ClockChangeNotice({ text, change }: { text: string; change: ClockChange }) {
  switch (change.kind) {
    case "repeated":
      return (
        <Notice title="This time occurs twice, because the clocks go back.">
          The search is for {dateTime(change.shown)}.{" "}
          <Link to="/find" search={{ q: `${text} ${toOffsetIso(change.other, change.precision)}` }}>
            Search for {dateTime(change.other)}
          </Link>
        </Notice>
      );
    case "covered":
      return (
        <Notice title="A time in this range occurs twice, because the clocks go back.">The search covers both.</Notice>
      );
    case "skipped":
      return (
        <Notice title="This time does not exist, because the clocks go forward.">
          The search is for {dateTime(change.shown)}.
        </Notice>
      );
  }
}

function Results({ search: { text, time }, exit }: { search: ParsedSearch; exit: string | undefined }) {
  const at = "at" in time ? iso(time.at) : undefined;
  const when = "at" in time ? { time: iso(time.at) } : { from: iso(time.from), to: iso(time.to) };
  const criteria = { ...(text && { text }), ...(exit && { exit }), ...when };
  const { data, error, isFetching } = useQuery(findQuery(criteria));
  return (
    <>
      <ProgressBar busy={isFetching} />
      {error && (
        <Notice kind="error" title="The search failed.">
          {error.message}
        </Notice>
      )}
      {!data && !error && <Notice title="Searching…" />}
      {data && <MatchList criteria={criteria} answer={data} at={at} />}
    </>
  );
}

function Examples() {
  return (
    <Notice title="Find a process on any machine, at any time.">
      Enter part of a name or command line. You can add a time, for example:
      <ul>
        {examples.map((example) => (
          <li key={example}>
            <Link to="/find" search={{ q: example }}>
              {example}
            </Link>
          </li>
        ))}
      </ul>
    </Notice>
  );
}
