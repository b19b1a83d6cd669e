// The keys of the process table, after htop's. They act only while the table has the
// focus, so that nobody's typing is taken for a command.
import type { SortKey } from "../../../processes/rows";

export type Command =
  | { do: "move"; by: number }
  | { do: "page"; by: number }
  | {
      do:
        | "first"
        | "last"
        | "expand"
        | "collapse"
        | "toggle"
        | "open"
        | "filter"
        | "tree"
        | "invert"
        | "collapseAll"
        | "expandAll"
        | "copy"
        | "user"
        | "exclude"
        | "help"
        | "clear";
    }
  | { do: "sort"; by: SortKey };

interface Binding {
  keys: string[];
  /** How they are written in the help. */
  label: string;
  help: string;
  command: Command;
}

export const bindings: Binding[] = [
  { keys: ["ArrowDown", "j"], label: "↓ j", help: "next process", command: { do: "move", by: 1 } },
  { keys: ["ArrowUp", "k"], label: "↑ k", help: "process before", command: { do: "move", by: -1 } },
  { keys: ["PageDown"], label: "Page ↓", help: "a page down", command: { do: "page", by: 1 } },
  { keys: ["PageUp"], label: "Page ↑", help: "a page up", command: { do: "page", by: -1 } },
  { keys: ["Home"], label: "Home", help: "first process", command: { do: "first" } },
  { keys: ["End"], label: "End", help: "last process", command: { do: "last" } },
  { keys: ["ArrowRight", "+"], label: "→ +", help: "expand", command: { do: "expand" } },
  { keys: ["ArrowLeft", "-"], label: "← −", help: "collapse, or go to the parent", command: { do: "collapse" } },
  { keys: [" "], label: "Space", help: "expand or collapse", command: { do: "toggle" } },
  { keys: ["*"], label: "*", help: "expand all", command: { do: "expandAll" } },
  { keys: ["_"], label: "_", help: "collapse all", command: { do: "collapseAll" } },
  { keys: ["Enter"], label: "Enter", help: "the process's page", command: { do: "open" } },
  { keys: ["/", "F3", "F4"], label: "/ F3 F4", help: "filter", command: { do: "filter" } },
  { keys: ["Escape"], label: "Esc", help: "clear the filter", command: { do: "clear" } },
  { keys: ["t"], label: "t", help: "tree or list", command: { do: "tree" } },
  { keys: ["P"], label: "P", help: "sort by CPU", command: { do: "sort", by: "cpu" } },
  { keys: ["M"], label: "M", help: "sort by memory", command: { do: "sort", by: "memory" } },
  { keys: ["N"], label: "N", help: "sort by pid", command: { do: "sort", by: "pid" } },
  { keys: ["T"], label: "T", help: "sort by start", command: { do: "sort", by: "started" } },
  { keys: ["I"], label: "I", help: "turn the order around", command: { do: "invert" } },
  { keys: ["u"], label: "u", help: "only this user's, or everybody's", command: { do: "user" } },
  { keys: ["x"], label: "x", help: "exclude this name", command: { do: "exclude" } },
  { keys: ["c"], label: "c", help: "copy the command line", command: { do: "copy" } },
  { keys: ["?", "h", "F1"], label: "? h F1", help: "these keys", command: { do: "help" } },
];

const byKey = new Map(bindings.flatMap(({ keys, command }) => keys.map((key): [string, Command] => [key, command])));

/** What a key asks for, if anything; keys with Ctrl and the like are the browser's. */
export function commandForKey(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "altKey" | "metaKey">,
): Command | undefined {
  return event.ctrlKey || event.altKey || event.metaKey ? undefined : byKey.get(event.key);
}
