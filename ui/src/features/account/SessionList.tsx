import { useQuery } from "@tanstack/react-query";
import { sessionsQuery, useEndSession } from "../../api/account";
import type { CurrentUser } from "../../api/client";
import { TimeAgo } from "../../components/Timestamps";
import { describeUserAgent } from "./userAgent";

export function SessionList({ user }: { user: CurrentUser }) {
  const { data: sessions, error } = useQuery({ ...sessionsQuery, enabled: user.session });
  const end = useEndSession();
  return (
    <section className="card" aria-labelledby="sessions-title">
      <h2 id="sessions-title">Sessions</h2>
      {error && <p className="wrong">{error.message}</p>}
      <ul className="rows">
        {sessions?.map((session) => (
          <li key={session.id}>
            <span>
              {describeUserAgent(session.user_agent)} <span className="quiet">from {session.address}</span>
              <span className="quiet block">
                Last used <TimeAgo at={session.last_seen} />
              </span>
            </span>
            {session.current ? (
              <span className="badge up">This session</span>
            ) : (
              <button type="button" className="plain" disabled={end.isPending} onClick={() => end.mutate(session.id)}>
                Sign out
              </button>
            )}
          </li>
        ))}
      </ul>
      {end.error && <p className="wrong">{end.error.message}</p>}
    </section>
  );
}
