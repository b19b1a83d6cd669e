import { Link, createRootRoute, createRoute, createRouter } from "@tanstack/react-router";
import { Frame } from "./components/Frame";
import { Notice } from "./components/Notice";
import { AccountPage } from "./pages/AccountPage";
import { DiffPage } from "./pages/DiffPage";
import { FindPage } from "./pages/FindPage";
import { FleetPage } from "./pages/FleetPage";
import { LoginPage } from "./pages/LoginPage";
import { MachinePage } from "./pages/MachinePage";
import { AdminPage } from "./pages/admin/AdminPage";
import { NamePage } from "./pages/NamePage";
import { ProcessPage } from "./pages/ProcessPage";
import { SetupPage } from "./pages/SetupPage";
import { adminSearch, diffSearch, findSearch, fleetSearch, loginSearch, machineSearch, nameSearch, processSearch } from "./search";

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

const fleet = createRoute({ getParentRoute: () => root, path: "/", component: FleetPage, validateSearch: fleetSearch });
const machine = createRoute({ getParentRoute: () => root, path: "/machines/$machineId", component: MachinePage, validateSearch: machineSearch });
const diff = createRoute({ getParentRoute: () => root, path: "/machines/$machineId/diff", component: DiffPage, validateSearch: diffSearch });
const process = createRoute({ getParentRoute: () => root, path: "/machines/$machineId/processes/$pid", component: ProcessPage, validateSearch: processSearch });
const name = createRoute({ getParentRoute: () => root, path: "/processes/$name", component: NamePage, validateSearch: nameSearch });
const find = createRoute({ getParentRoute: () => root, path: "/find", component: FindPage, validateSearch: findSearch });
const login = createRoute({ getParentRoute: () => root, path: "/login", component: LoginPage, validateSearch: loginSearch });
const setup = createRoute({ getParentRoute: () => root, path: "/setup", component: SetupPage });
const admin = createRoute({ getParentRoute: () => root, path: "/admin", component: AdminPage, validateSearch: adminSearch });
const account = createRoute({ getParentRoute: () => root, path: "/account", component: AccountPage });

export const router = createRouter({ routeTree: root.addChildren([fleet, machine, diff, process, name, find, login, setup, account, admin]) });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
