import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { findQuery } from "../../api/history";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { DateTime } from "../../components/Timestamps";
import { MatchList } from "./MatchList";
import { parseSearch } from "./parseSearch";
import { iso } from "../../time/range";

const examples = [
  "postgres",
  "postgres yesterday at 3",
  "nginx 2 h ago",
  "python last 3 days",
  "backup.sh monday at 2:30",
  "java 2026-11-01 23:59",
];

/** Where and when something ran. */
export function FindPage() {
  const { q = "" } = useSearch({ from: "/find" });
  const question = useMemo(() => parseSearch(q, Date.now()), [q]);
  const time = question.at === undefined ? undefined : iso(question.at);
  const window = { from: iso(question.from ?? 0), to: iso(question.to ?? 1) };
  const { data, error, isFetching, isPlaceholderData } = useQuery({
    ...findQuery({ text: question.text, ...(time ? { time } : window) }),
    enabled: question.text !== "",
  });
  return (
    <main>
      <div className="heading">
        <h1>Find</h1>
        {question.text && (
          <span data-testid="question">
            <strong>{question.text}</strong>{" "}
            <span className="quiet">
              {time ? (
                <>
                  at <DateTime at={time} />
                </>
              ) : (
                <>
                  from <DateTime at={window.from} /> to <DateTime at={window.to} />
                </>
              )}
            </span>
          </span>
        )}
      </div>
      <ProgressBar busy={isFetching} />
      {!question.text && (
        <Notice title="What ran, where, and when?">
          Type part of a name or command line and then, if you like, a time:
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
      )}
      {error && question.text && (
        <Notice kind="error" title="It could not be looked for.">
          {error.message}
        </Notice>
      )}
      {!data && !error && question.text && <Notice title="Looking…" />}
      {data && question.text && !isPlaceholderData && <MatchList answer={data} at={time} />}
    </main>
  );
}
