import { useQuery } from "@tanstack/react-query";
import { Link, Navigate, Outlet, useRouterState } from "@tanstack/react-router";
import { currentUserQuery, useSignOut } from "./api/account";
import { SearchBox } from "./features/find/SearchBox";
import { Notice } from "./components/Notice";

/** The pages that strangers see. */
const open = ["/login", "/setup"];

/** What is around every page. Who is not logged in gets the log-in page. */
export function Layout() {
  const location = useRouterState({ select: (state) => state.location });
  const { data: self, failureReason, isPending } = useQuery(currentUserQuery);
  const logout = useSignOut();
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
      {forStrangers || self || (isPending && !failureReason) ? (
        <Outlet />
      ) : isPending ? (
        <Unreachable />
      ) : (
        <Navigate to="/login" search={location.href === "/" ? {} : { then: location.href }} replace />
      )}
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
