import { useQuery } from "@tanstack/react-query";
import { Link, Navigate, Outlet, useRouterState } from "@tanstack/react-router";
import { currentUserQuery, useSignOut } from "./api/account";
import { basePath } from "./api/basePath";
import { Notice } from "./components/Notice";
import { SearchBox } from "./features/find/SearchBox";
import { HealthBanner } from "./HealthBanner";

/** The pages that do not require a session. */
const publicPages = ["/login", "/setup"];

/** The frame of every page. Redirects to the sign-in page if nobody is signed in. */
export function Layout() {
  const { data: user } = useQuery(currentUserQuery);
  const signOut = useSignOut();
  return (
    <>
      <header>
        <Link to="/" className="brand">
          <img src={`${basePath}/icon.svg`} alt="" width="22" height="22" />
          snapwatch
        </Link>
        {user && <SearchBox />}
        {user && (
          <nav aria-label="Account">
            {user.role === "admin" && <Link to="/admin">Administration</Link>}
            <Link to="/account">{user.name}</Link>
            <button type="button" className="plain" disabled={signOut.isPending} onClick={() => signOut.mutate()}>
              Sign out
            </button>
          </nav>
        )}
      </header>
      <HealthBanner />
      <Page />
    </>
  );
}

function Page() {
  const location = useRouterState({ select: (state) => state.location });
  const { data: user, failureReason, isPending, isError } = useQuery(currentUserQuery);
  // While the user is loading, the page already requests its data. Without a session it receives none.
  if (publicPages.includes(location.pathname) || user || (isPending && !failureReason)) return <Outlet />;
  if (isPending || isError) {
    return (
      <main>
        <Notice kind="error" title="Cannot reach the server.">
          Retrying…
        </Notice>
      </main>
    );
  }
  return <Navigate to="/login" search={location.href === "/" ? {} : { then: location.href }} replace />;
}
