import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ApiError, type Machine } from "../../api/client";
import { useUpdateMachine, useDeleteMachine } from "../../api/machines";
import { parseNames, parseTags } from "../../parseLists";
import { Notice } from "../../components/Notice";

/** The parts of a snapshot that an agent can be told to leave out. */
const parts = {
  command_lines: "command lines",
  cgroups: "services and containers",
  io: "I/O of processes",
  open_files: "open files",
  short_lived: "processes between snapshots",
  cores: "each core",
  disks: "disks",
  interfaces: "networks",
  temperatures: "temperatures",
} as const;
type Part = keyof typeof parts;

/** What the agent is told to do. A change is made only to the config that is shown. */
export function AgentSettings({ machine }: { machine: Machine }) {
  const [draft, setDraft] = useState<{
    interval: string;
    enabled: boolean;
    include: string;
    exclude: string;
    omit: readonly Part[];
    tags: string;
    version: number;
  }>();
  const configure = useUpdateMachine(machine.machine_id);
  const shown = draft ?? {
    interval: String(machine.polling_interval),
    enabled: machine.enabled,
    include: machine.include.join(", "),
    exclude: machine.exclude.join(", "),
    omit: machine.omit,
    tags: machine.tags.join(", "),
    version: machine.config_version,
  };
  const interval = Number(shown.interval);
  const valid = shown.interval.trim() !== "" && interval >= 0.5 && interval <= 3600;
  const tags = parseTags(shown.tags);
  const retagged = tags.join() !== [...machine.tags].sort().join();
  const exclude = parseNames(shown.exclude);
  const excludes = exclude.join() !== machine.exclude.join();
  const include = parseNames(shown.include);
  const includes = include.join() !== machine.include.join();
  const omits = [...shown.omit].sort().join() !== [...machine.omit].sort().join();
  const changed =
    excludes ||
    includes ||
    omits ||
    interval !== machine.polling_interval ||
    shown.enabled !== machine.enabled ||
    retagged;
  const edit = (change: Partial<typeof shown>) => {
    configure.reset();
    setDraft({ ...shown, ...change });
  };

  const save = (event: FormEvent) => {
    event.preventDefault();
    configure.mutate(
      {
        version: shown.version,
        patch: {
          ...(interval !== machine.polling_interval && { polling_interval: interval }),
          ...(shown.enabled !== machine.enabled && { enabled: shown.enabled }),
          ...(excludes && { exclude }),
          ...(includes && { include }),
          ...(omits && { omit: [...shown.omit] }),
          ...(retagged && { tags }),
        },
      },
      { onSuccess: () => setDraft(undefined) },
    );
  };

  return (
    <section className="config" aria-labelledby="config-title">
      <h2 id="config-title">Agent</h2>
      <form onSubmit={save}>
        <label>
          <input type="checkbox" checked={shown.enabled} onChange={(e) => edit({ enabled: e.target.checked })} /> Take
          snapshots
        </label>
        <label>
          every{" "}
          <input
            type="number"
            min="0.5"
            max="3600"
            step="any"
            required
            value={shown.interval}
            aria-label="Polling interval in seconds"
            onChange={(e) => edit({ interval: e.target.value })}
          />{" "}
          seconds
        </label>
        <label>
          record only{" "}
          <input
            value={shown.include}
            aria-label="Names that alone are recorded"
            placeholder="every process"
            title="Processes of other names never leave the machine; * stands for any text"
            onChange={(e) => edit({ include: e.target.value })}
          />
        </label>
        <label>
          never record{" "}
          <input
            value={shown.exclude}
            aria-label="Names that are not recorded"
            placeholder="kworker*, (sd-pam)"
            title="Processes of these names never leave the machine; * stands for any text"
            onChange={(e) => edit({ exclude: e.target.value })}
          />
        </label>
        <label>
          tags{" "}
          <input
            value={shown.tags}
            aria-label="Tags"
            placeholder="web, rack-7"
            title="Users see the machines that have a tag granted to them"
            onChange={(e) => edit({ tags: e.target.value })}
          />
        </label>
        <fieldset>
          <legend>collect</legend>
          {(Object.keys(parts) as Part[]).map((part) => (
            <label key={part}>
              <input
                type="checkbox"
                checked={!shown.omit.includes(part)}
                onChange={(e) =>
                  edit({
                    omit: e.target.checked ? shown.omit.filter((other) => other !== part) : [...shown.omit, part],
                  })
                }
              />{" "}
              {parts[part]}
            </label>
          ))}
        </fieldset>
        <button type="submit" disabled={!valid || !changed || configure.isPending}>
          {configure.isPending ? "Saving…" : "Save"}
        </button>
        {draft && changed && (
          <button type="button" className="plain" onClick={() => setDraft(undefined)}>
            Undo
          </button>
        )}
        {!valid && <span className="wrong">0.5 to 3600 seconds</span>}
        {configure.isSuccess && !draft && <span role="status">Saved. The agent obeys with its next post.</span>}
      </form>
      {configure.error && (
        <Notice kind="error" title="The change was not saved.">
          {configure.error instanceof ApiError && configure.error.status === 412
            ? "Someone else has changed this machine's config meanwhile. "
            : `${configure.error.message} `}
          <button type="button" className="plain" onClick={() => (setDraft(undefined), configure.reset())}>
            Show the current config
          </button>
        </Notice>
      )}
      <p className="quiet facts">
        id <code>{machine.machine_id}</code> · agent {machine.agent_version || "unknown"} · config version{" "}
        {machine.config_version}
      </p>
      <DeleteMachine machine={machine} />
    </section>
  );
}

function DeleteMachine({ machine }: { machine: Machine }) {
  const [asking, setAsking] = useState(false);
  const forget = useDeleteMachine(machine.machine_id);
  const navigate = useNavigate();
  if (!asking) {
    return (
      <button type="button" className="plain" onClick={() => setAsking(true)}>
        DeleteMachine this machine…
      </button>
    );
  }
  return (
    <Notice kind="error" title={`DeleteMachine ${machine.hostname || machine.machine_id} and its whole history?`}>
      This cannot be undone. An agent that still runs will register it anew.{" "}
      <button
        type="button"
        disabled={forget.isPending}
        onClick={() => forget.mutate(undefined, { onSuccess: () => navigate({ to: "/" }) })}
      >
        DeleteMachine
      </button>{" "}
      <button type="button" className="plain" onClick={() => setAsking(false)}>
        Keep
      </button>
      {forget.error && <p>{forget.error.message}</p>}
    </Notice>
  );
}
