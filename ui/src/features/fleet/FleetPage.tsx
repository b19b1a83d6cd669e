import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { useIsAdmin } from "../../api/account";
import { ApiError } from "../../api/client";
import { machinesQuery } from "../../api/machines";
import { Notice } from "../../components/Notice";
import { ProgressBar } from "../../components/ProgressBar";
import { StatusFilter, TagFilter } from "./FleetFilters";
import { FleetTable } from "./FleetTable";
import { type FleetSortKey, countStatuses, filterMachines, tagsOf } from "./filterMachines";
import type { FleetSearch } from "./search";

const noTags: string[] = [];

/** Lists all machines. The filters and the order are in the URL. */
export function FleetPage() {
  const { data: machines, failureReason, isPending, isFetching } = useQuery(machinesQuery);
  const search = useSearch({ from: "/" });
  const navigate = useNavigate({ from: "/" });
  const change = (change: Partial<FleetSearch>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true, resetScroll: false });

  const { q = "", tag = noTags, status, sort = "name", desc = false } = search;
  const shown = useMemo(
    () => filterMachines(machines ?? [], { q, tag, status, sort, desc }),
    [machines, q, tag, status, sort, desc],
  );
  const tags = useMemo(() => tagsOf(machines ?? []), [machines]);
  const counts = useMemo(() => countStatuses(machines ?? []), [machines]);
  const sortBy = (key: FleetSortKey) =>
    change({
      sort: key === "name" ? undefined : key,
      desc: (sort === key ? !desc : key !== "name") || undefined,
    });

  return (
    <main>
      <div className="heading">
        <h1>Machines</h1>
        {machines && (
          <span className="quiet" data-testid="machine-count">
            {shown.length === machines.length ? machines.length : `${shown.length} of ${machines.length}`}
          </span>
        )}
        <input
          type="search"
          placeholder="Name, ID, platform or tag"
          aria-label="Filter machines"
          value={q}
          onChange={(e) => change({ q: e.target.value || undefined })}
        />
        {machines && machines.length > 0 && <StatusFilter search={search} counts={counts} onChange={change} />}
        <span className="spacer" />
        <AddMachinesLink />
      </div>
      {tags.length > 0 && <TagFilter search={search} tags={tags} onChange={change} />}
      <ProgressBar busy={isPending && isFetching} />
      {failureReason && (
        <Notice kind="error" title={machines ? "This list is out of date." : "Could not load the machines."}>
          {failureReason instanceof ApiError ? failureReason.message : "Cannot reach the server."} Retrying…
        </Notice>
      )}
      {isPending && !failureReason && <Notice title="Loading…" />}
      {machines?.length === 0 && <NoMachines />}
      {machines && machines.length > 0 && shown.length === 0 && (
        <Notice title="No machines match the filters.">
          <button
            type="button"
            className="plain"
            onClick={() => change({ q: undefined, tag: undefined, status: undefined })}
          >
            Show all {machines.length}
          </button>
        </Notice>
      )}
      {shown.length > 0 && (
        <FleetTable machines={shown} sort={sort} desc={desc} outdated={failureReason !== null} onSort={sortBy} />
      )}
    </main>
  );
}

function AddMachinesLink() {
  return useIsAdmin() ? (
    <Link className="button" to="/admin" search={{ tab: "enrolment" }}>
      Add machines
    </Link>
  ) : null;
}

function NoMachines() {
  return useIsAdmin() ? (
    <Notice title="No machines yet.">
      <Link to="/admin" search={{ tab: "enrolment" }}>
        Add a machine
      </Link>{" "}
      with a single command.
    </Notice>
  ) : (
    <Notice title="You do not have access to any machines yet.">
      Ask an administrator to grant you access by machine tags.
    </Notice>
  );
}
