import { Link, createRootRoute, createRoute, createRouter } from "@tanstack/react-router";
import { Frame } from "./components/Frame";
import { Notice } from "./components/Notice";
import { AccountPage } from "./pages/AccountPage";
import { FleetPage } from "./pages/FleetPage";
import { LoginPage } from "./pages/LoginPage";
import { MachinePage } from "./pages/MachinePage";
import { AdminPage, type AdminTab, adminTabs } from "./pages/admin/AdminPage";
import { SetupPage } from "./pages/SetupPage";
import { type SortKey, sortKeys } from "./processes/rows";

/** How the processes of a machine are shown, as it stands in the URL. */
export interface MachineSearch {
  sort?: SortKey | undefined;
  desc?: boolean | undefined;
  filter?: string | undefined;
  exclude?: string[] | undefined;
  flat?: boolean | undefined;
  /** The instant to show in place of the present, RFC 3339. */
  at?: string | undefined;
}

/** Takes from a URL what makes sense and drops the rest. */
export function machineSearch(search: Record<string, unknown>): MachineSearch {
  const exclude = Array.isArray(search.exclude) ? search.exclude.filter((name) => typeof name === "string") : [];
  return {
    ...(sortKeys.includes(search.sort as SortKey) && { sort: search.sort as SortKey }),
    ...(search.desc === true && { desc: true }),
    ...((typeof search.filter === "string" || typeof search.filter === "number") && { filter: String(search.filter) }),
    ...(exclude.length > 0 && { exclude }),
    ...(search.flat === true && { flat: true }),
    ...instantOf(search.at),
  };
}

/** Reads an instant as RFC 3339 or, as Grafana's links have it, in milliseconds since 1970. */
function instantOf(at: unknown): Pick<MachineSearch, "at"> {
  const time = typeof at === "number" ? at : typeof at === "string" ? Date.parse(at) : Number.NaN;
  return Math.abs(time) < 8.64e15 ? { at: new Date(time).toISOString() } : {};
}

/** Where to go after log-in, which is never another site; and why the identity provider did not let somebody in. */
export function loginSearch(search: Record<string, unknown>): { then?: string; failed?: string } {
  const { then, failed } = search;
  return {
    ...(typeof then === "string" && /^\/(?![/\\])/.test(then) && { then }),
    ...(typeof failed === "string" && /^[a-z_]{1,40}$/.test(failed) && { failed }),
  };
}

/** Which part of the administration is shown. */
export function adminSearch(search: Record<string, unknown>): { tab?: AdminTab } {
  return adminTabs.includes(search.tab as AdminTab) ? { tab: search.tab as AdminTab } : {};
}

const root = createRootRoute({
  component: Frame,
  notFoundComponent: () => (
    <main>
      <Notice kind="error" title="There is nothing at this address.">
        <Link to="/">All machines</Link>
      </Notice>
    </main>
  ),
});

const fleet = createRoute({ getParentRoute: () => root, path: "/", component: FleetPage });
const machine = createRoute({ getParentRoute: () => root, path: "/machines/$machineId", component: MachinePage, validateSearch: machineSearch });
const login = createRoute({ getParentRoute: () => root, path: "/login", component: LoginPage, validateSearch: loginSearch });
const setup = createRoute({ getParentRoute: () => root, path: "/setup", component: SetupPage });
const admin = createRoute({ getParentRoute: () => root, path: "/admin", component: AdminPage, validateSearch: adminSearch });
const account = createRoute({ getParentRoute: () => root, path: "/account", component: AccountPage });

export const router = createRouter({ routeTree: root.addChildren([fleet, machine, login, setup, account, admin]) });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
