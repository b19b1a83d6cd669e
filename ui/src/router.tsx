import { Link, createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { Layout } from "./Layout";
import { basePath } from "./api/basePath";
import { Notice } from "./components/Notice";
import { SignInPage } from "./features/account/SignInPage";
import { signInSearch } from "./features/account/search";
import { adminSearch } from "./features/admin/search";
import { diffSearch } from "./features/diff/search";
import { findSearch, nameSearch } from "./features/find/search";
import { FleetPage } from "./features/fleet/FleetPage";
import { fleetSearch } from "./features/fleet/search";
import { MachinePage } from "./features/machine/MachinePage";
import { machineSearch } from "./features/machine/search";
import { latestSnapshotSearch, processSearch } from "./features/process/search";

const root = createRootRoute({ component: Layout, notFoundComponent: NotFound });

function NotFound() {
  return (
    <main>
      <h1 className="page-title">Page not found</h1>
      <Notice kind="error" title="There is no page at this address.">
        <Link to="/">All machines</Link>
      </Notice>
    </main>
  );
}

const fleet = createRoute({ getParentRoute: () => root, path: "/", component: FleetPage, validateSearch: fleetSearch });
const machine = createRoute({
  getParentRoute: () => root,
  path: "/machines/$machineId",
  component: MachinePage,
  validateSearch: machineSearch,
});
const signIn = createRoute({
  getParentRoute: () => root,
  path: "/login",
  component: SignInPage,
  validateSearch: signInSearch,
});

// A visit rarely starts with one of the pages below. Each is loaded on its first use.
const diff = createRoute({
  getParentRoute: () => root,
  path: "/machines/$machineId/diff",
  component: lazyRouteComponent(() => import("./features/diff/DiffPage"), "DiffPage"),
  validateSearch: diffSearch,
});
const process = createRoute({
  getParentRoute: () => root,
  path: "/machines/$machineId/processes/$pid",
  component: lazyRouteComponent(() => import("./features/process/ProcessPage"), "ProcessPage"),
  validateSearch: processSearch,
});
const latestSnapshot = createRoute({
  getParentRoute: () => root,
  path: "/machines/$machineId/processes/$pid/latest",
  component: lazyRouteComponent(() => import("./features/process/LatestSnapshotPage"), "LatestSnapshotPage"),
  validateSearch: latestSnapshotSearch,
});
const name = createRoute({
  getParentRoute: () => root,
  path: "/processes/$name",
  component: lazyRouteComponent(() => import("./features/find/NamePage"), "NamePage"),
  validateSearch: nameSearch,
});
const find = createRoute({
  getParentRoute: () => root,
  path: "/find",
  component: lazyRouteComponent(() => import("./features/find/FindPage"), "FindPage"),
  validateSearch: findSearch,
});
const setup = createRoute({
  getParentRoute: () => root,
  path: "/setup",
  component: lazyRouteComponent(() => import("./features/account/SetupPage"), "SetupPage"),
});
const admin = createRoute({
  getParentRoute: () => root,
  path: "/admin",
  component: lazyRouteComponent(() => import("./features/admin/AdminPage"), "AdminPage"),
  validateSearch: adminSearch,
});
const account = createRoute({
  getParentRoute: () => root,
  path: "/account",
  component: lazyRouteComponent(() => import("./features/account/AccountPage"), "AccountPage"),
});

export const router = createRouter({
  basepath: basePath || "/",
  routeTree: root.addChildren([
    fleet,
    machine,
    diff,
    process,
    latestSnapshot,
    name,
    find,
    signIn,
    setup,
    account,
    admin,
  ]),
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
