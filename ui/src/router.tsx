import { Link, createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { Frame } from "./components/Frame";
import { Notice } from "./components/Notice";
import { FleetPage } from "./pages/FleetPage";
import { LoginPage } from "./pages/LoginPage";
import { MachinePage } from "./pages/MachinePage";
import { adminSearch, diffSearch, findSearch, fleetSearch, loginSearch, machineSearch, nameSearch, processSearch } from "./search";

// Pages that few visits begin with are loaded when they are gone to.
const root = createRootRoute({
  component: Frame,
  notFoundComponent: () => (
    <main>
      <h1 className="page-title">Not found</h1>
      <Notice kind="error" title="There is nothing at this address.">
        <Link to="/">All machines</Link>
      </Notice>
    </main>
  ),
});

const fleet = createRoute({ getParentRoute: () => root, path: "/", component: FleetPage, validateSearch: fleetSearch });
const machine = createRoute({ getParentRoute: () => root, path: "/machines/$machineId", component: MachinePage, validateSearch: machineSearch });
const diff = createRoute({ getParentRoute: () => root, path: "/machines/$machineId/diff", component: lazyRouteComponent(() => import("./pages/DiffPage"), "DiffPage"), validateSearch: diffSearch });
const process = createRoute({ getParentRoute: () => root, path: "/machines/$machineId/processes/$pid", component: lazyRouteComponent(() => import("./pages/ProcessPage"), "ProcessPage"), validateSearch: processSearch });
const name = createRoute({ getParentRoute: () => root, path: "/processes/$name", component: lazyRouteComponent(() => import("./pages/NamePage"), "NamePage"), validateSearch: nameSearch });
const find = createRoute({ getParentRoute: () => root, path: "/find", component: lazyRouteComponent(() => import("./pages/FindPage"), "FindPage"), validateSearch: findSearch });
const login = createRoute({ getParentRoute: () => root, path: "/login", component: LoginPage, validateSearch: loginSearch });
const setup = createRoute({ getParentRoute: () => root, path: "/setup", component: lazyRouteComponent(() => import("./pages/SetupPage"), "SetupPage") });
const admin = createRoute({ getParentRoute: () => root, path: "/admin", component: lazyRouteComponent(() => import("./pages/admin/AdminPage"), "AdminPage"), validateSearch: adminSearch });
const account = createRoute({ getParentRoute: () => root, path: "/account", component: lazyRouteComponent(() => import("./pages/AccountPage"), "AccountPage") });

export const router = createRouter({ routeTree: root.addChildren([fleet, machine, diff, process, name, find, login, setup, account, admin]) });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
