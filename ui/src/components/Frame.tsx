import { useQuery } from "@tanstack/react-query";
import { Link, Navigate, Outlet, useRouterState } from "@tanstack/react-router";
import { selfQuery, useLogout } from "../api/self";
import { SearchBox } from "../find/SearchBox";
import { Notice } from "./Notice";

/** The pages that strangers see. */
const open = ["/login", "/setup"];

/** What is around every page. Who is not logged in gets the log-in page. */
export function Frame() {
  const location = useRouterState({ select: (state) => state.location });
  const { data: self, failureReason, isPending } = useQuery(selfQuery);
  const logout = useLogout();
  const forStrangers = open.includes(location.pathname);
  return (
    <>
      <header>
        <Link to="/" className="brand">
          <img src="/icon.svg" alt="" width="22" height="22" />
          snapwatch
        </Link>
        {self && <SearchBox />}
        {self && (
          <nav aria-label="Account">
            {self.role === "admin" && <Link to="/admin">Administration</Link>}
            <Link to="/account">{self.name}</Link>
            <button type="button" className="plain" disabled={logout.isPending} onClick={() => logout.mutate()}>
              Log out
            </button>
          </nav>
        )}
      </header>
      {/* While it is asked who this is, the page asks for what it shows: whoever is a stranger gets nothing. */}
      {forStrangers || self || (isPending && !failureReason) ? <Outlet /> : isPending ? <Unreachable /> : <Navigate to="/login" search={location.href === "/" ? {} : { then: location.href }} replace />}
    </>
  );
}

function Unreachable() {
  return (
    <main>
      <Notice kind="error" title="The server does not answer.">
        Trying again.
      </Notice>
    </main>
  );
}
