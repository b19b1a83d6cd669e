// What stands in the addresses of the pages: each takes what makes sense and drops the rest.
import { type FleetKey, type Status, fleetKeys, statuses } from "./fleet/select";
import { type AdminTab, adminTabs } from "./pages/admin/tabs";
import type { Measure } from "./processes/diff";
import { type SortKey, sortKeys } from "./processes/rows";
import { type RangeSearch, instantOf, rangeSearch } from "./time/range";

/** How the processes of a machine are shown, when and in which range, as it stands in the URL. */
export interface MachineSearch extends RangeSearch {
  sort?: SortKey | undefined;
  desc?: boolean | undefined;
  filter?: string | undefined;
  user?: string | undefined;
  /** At least so many percent. */
  cpu?: number | undefined;
  /** At least so many MiB. */
  mem?: number | undefined;
  include?: string[] | undefined;
  exclude?: string[] | undefined;
  flat?: boolean | undefined;
  /** The instant to show in place of the present, RFC 3339. */
  at?: string | undefined;
}

const text = (value: unknown): string | undefined => (typeof value === "string" || typeof value === "number" ? String(value) || undefined : undefined);
const texts = (value: unknown): string[] | undefined => {
  const list = (Array.isArray(value) ? value : [value]).flatMap((one) => text(one) ?? []);
  return list.length > 0 ? list : undefined;
};
const positive = (value: unknown): number | undefined => (typeof value === "number" && value > 0 && Number.isFinite(value) ? value : undefined);

/** Leaves out what is not there. */
function given<T extends object>(search: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** Takes from a URL what makes sense and drops the rest. */
export function machineSearch(search: Record<string, unknown>): MachineSearch {
  return given({
    sort: sortKeys.includes(search.sort as SortKey) ? (search.sort as SortKey) : undefined,
    desc: search.desc === true ? true : undefined,
    filter: text(search.filter),
    user: text(search.user),
    cpu: positive(search.cpu),
    mem: positive(search.mem),
    include: texts(search.include),
    exclude: texts(search.exclude),
    flat: search.flat === true ? true : undefined,
    at: instantOf(search.at),
    ...rangeSearch(search),
  });
}

/** Which machines are shown, and in what order. */
export interface FleetSearch {
  q?: string | undefined;
  tag?: string[] | undefined;
  status?: Status | undefined;
  sort?: FleetKey | undefined;
  desc?: boolean | undefined;
}

export function fleetSearch(search: Record<string, unknown>): FleetSearch {
  return given({
    q: text(search.q),
    tag: texts(search.tag),
    status: statuses.includes(search.status as Status) ? (search.status as Status) : undefined,
    sort: fleetKeys.includes(search.sort as FleetKey) ? (search.sort as FleetKey) : undefined,
    desc: search.desc === true ? true : undefined,
  });
}

/** Two instants, and what is compared; by default the last ten minutes. */
export interface DiffSearch {
  from: string;
  to: string;
  by?: Measure | undefined;
}

export function diffSearch(search: Record<string, unknown>): DiffSearch {
  const to = instantOf(search.to) ?? new Date().toISOString();
  const from = instantOf(search.from) ?? new Date(Date.parse(to) - 600_000).toISOString();
  return { ...(from <= to ? { from, to } : { from: to, to: from }), ...(search.by === "threads" && { by: "threads" }) };
}

/** Which life of a pid, and when. */
export interface ProcessSearch extends RangeSearch {
  started?: string | undefined;
  at?: string | undefined;
}

export function processSearch(search: Record<string, unknown>): ProcessSearch {
  return given({ started: instantOf(search.started), at: instantOf(search.at), ...rangeSearch(search) });
}

/** The range of a name's page is a day unless it says otherwise. */
export function nameSearch(search: Record<string, unknown>): RangeSearch {
  return search.span === "1h" ? { span: "1h" } : rangeSearch(search);
}

export const findSearch = (search: Record<string, unknown>): { q?: string } => given({ q: text(search.q) });

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
