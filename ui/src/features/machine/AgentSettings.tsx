import { type SyntheticEvent, useState } from "react";
import { ApiError, type ConfigPatch, type Machine } from "../../api/client";
import { useUpdateMachine } from "../../api/machines";
import { Dialog } from "../../components/Dialog";
import { Notice } from "../../components/Notice";
import { parseNames, parseTags } from "../../parseLists";
import { DeleteMachine } from "./DeleteMachine";

/** The optional parts of a snapshot. */
const parts = {
  command_lines: "command lines",
  cgroups: "services and containers",
  io: "process I/O",
  open_files: "open files",
  short_lived: "short-lived processes",
  cores: "CPU usage per core",
  disks: "disks",
  interfaces: "network interfaces",
  temperatures: "temperatures",
} as const;
type Part = keyof typeof parts;

/** The text of the inputs. A draft can only be saved if the settings still have its version. */
interface Draft {
  interval: string;
  enabled: boolean;
  include: string;
  exclude: string;
  omit: readonly Part[];
  tags: string;
  version: number;
}

const toDraft = (machine: Machine): Draft => ({
  interval: String(machine.polling_interval),
  enabled: machine.enabled,
  include: machine.include.join(", "),
  exclude: machine.exclude.join(", "),
  omit: machine.omit,
  tags: machine.tags.join(", "),
  version: machine.config_version,
});

const sameSet = (a: readonly string[], b: readonly string[]) => [...a].sort().join() === [...b].sort().join();

/** Returns the settings that differ from those of the machine. */
function toPatch(draft: Draft, machine: Machine): ConfigPatch {
  const interval = Number(draft.interval);
  const include = parseNames(draft.include);
  const exclude = parseNames(draft.exclude);
  const tags = parseTags(draft.tags);
  return {
    ...(interval !== machine.polling_interval && { polling_interval: interval }),
    ...(draft.enabled !== machine.enabled && { enabled: draft.enabled }),
    ...(exclude.join() !== machine.exclude.join() && { exclude }),
    ...(include.join() !== machine.include.join() && { include }),
    ...(!sameSet(draft.omit, machine.omit) && { omit: [...draft.omit] }),
    ...(!sameSet(tags, machine.tags) && { tags }),
  };
}

/**
 * A button that opens the settings of a machine. They are a dialog because everything below the process table moves
 * with each live snapshot: a button that moves while it is pressed is not clicked.
 */
export function SettingsButton({ machine }: { machine: Machine }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="plain" onClick={() => setOpen(true)}>
        Settings
      </button>
      {open && (
        <Dialog title="Settings" onClose={() => setOpen(false)}>
          <AgentSettings machine={machine} />
        </Dialog>
      )}
    </>
  );
}

/** The settings of a machine's agent, and its tags. */
function AgentSettings({ machine }: { machine: Machine }) {
  const [draft, setDraft] = useState<Draft>();
  const update = useUpdateMachine(machine.machine_id);
  const shown = draft ?? toDraft(machine);
  const patch = toPatch(shown, machine);
  const interval = Number(shown.interval);
  const valid = shown.interval.trim() !== "" && interval >= 0.5 && interval <= 3600;
  const changed = Object.keys(patch).length > 0;
  const edit = (change: Partial<Draft>) => {
    update.reset();
    setDraft({ ...shown, ...change });
  };
  const discard = () => {
    setDraft(undefined);
    update.reset();
  };
  const save = (event: SyntheticEvent) => {
    event.preventDefault();
    update.mutate({ version: shown.version, patch }, { onSuccess: () => setDraft(undefined) });
  };

  return (
    <div className="config">
      <form onSubmit={save}>
        <label>
          <input type="checkbox" checked={shown.enabled} onChange={(e) => edit({ enabled: e.target.checked })} /> Record
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
        <TextSetting
          label="Record only"
          name="Record only processes with these names"
          placeholder="all processes"
          title="Other processes are not sent to the server. Use * as a wildcard."
          value={shown.include}
          onChange={(include) => edit({ include })}
        />
        <TextSetting
          label="Exclude"
          name="Exclude processes with these names"
          placeholder="kworker*, (sd-pam)"
          title="These processes are not sent to the server. Use * as a wildcard."
          value={shown.exclude}
          onChange={(exclude) => edit({ exclude })}
        />
        <TextSetting
          label="Tags"
          name="Tags"
          placeholder="web, rack-7"
          title="Users can view machines with the tags that are granted to them."
          value={shown.tags}
          onChange={(tags) => edit({ tags })}
        />
        <PartChoices omit={shown.omit} onChange={(omit) => edit({ omit })} />
        <button type="submit" disabled={!valid || !changed || update.isPending}>
          {update.isPending ? "Saving…" : "Save"}
        </button>
        {draft && changed && (
          <button type="button" className="plain" onClick={discard}>
            Discard changes
          </button>
        )}
        {!valid && <span className="wrong">The interval must be 0.5 to 3600 seconds.</span>}
        {update.isSuccess && !draft && <span role="status">Saved. Takes effect at the agent’s next report.</span>}
      </form>
      {update.error && (
        <Notice kind="error" title="Could not save the settings.">
          {update.error instanceof ApiError && update.error.status === 412
            ? "Someone else changed them in the meantime."
            : update.error.message}{" "}
          <button type="button" className="plain" onClick={discard}>
            Load current settings
          </button>
        </Notice>
      )}
      <p className="quiet facts">
        ID <code>{machine.machine_id}</code> · agent version {machine.agent_version || "unknown"} · settings version{" "}
        {machine.config_version}
        {machine.process_reader && ` · ${describeReader(machine)}`}
      </p>
      <DeleteMachine machine={machine} />
    </div>
  );
}

function describeReader({ process_reader, process_reader_reason }: Machine): string {
  if (process_reader === "bpf") {
    return "processes are read with BPF";
  }
  return `processes are read from /proc${process_reader_reason ? `: ${process_reader_reason}` : ""}`;
}

interface TextSettingProps {
  label: string;
  /** The accessible name. */
  name: string;
  placeholder: string;
  title: string;
  value: string;
  onChange: (value: string) => void;
}

function TextSetting({ label, name, placeholder, title, value, onChange }: TextSettingProps) {
  return (
    <label>
      {label}{" "}
      <input
        value={value}
        aria-label={name}
        placeholder={placeholder}
        title={title}
        onChange={(e) => onChange(e.target.value)}
      />
    </label>
  );
}

/** Selects the parts of a snapshot to record. */
function PartChoices({ omit, onChange }: { omit: readonly Part[]; onChange: (omit: Part[]) => void }) {
  return (
    <fieldset>
      <legend>Include</legend>
      {(Object.keys(parts) as Part[]).map((part) => (
        <label key={part}>
          <input
            type="checkbox"
            checked={!omit.includes(part)}
            onChange={(e) => onChange(e.target.checked ? omit.filter((other) => other !== part) : [...omit, part])}
          />{" "}
          {parts[part]}
        </label>
      ))}
    </fieldset>
  );
}
