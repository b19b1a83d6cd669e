// The keyboard shortcuts of the process table, modelled on htop. They work only while the table has the
// focus, so that they do not interfere with text inputs.
import type { SortKey } from "../../../processes/rows";

export type Command =
  | { do: "move"; by: number }
  | { do: "page"; by: number }
  | { do: "sort"; by: SortKey }
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
    };

interface KeyBinding {
  keys: string[];
  /** The keys as they are shown in the help, separated by spaces. */
  label: string;
  help: string;
  command: Command;
}

export const keyBindings: KeyBinding[] = [
  { keys: ["ArrowDown", "j"], label: "↓ j", help: "next process", command: { do: "move", by: 1 } },
  { keys: ["ArrowUp", "k"], label: "↑ k", help: "previous process", command: { do: "move", by: -1 } },
  { keys: ["PageDown"], label: "Page ↓", help: "one page down", command: { do: "page", by: 1 } },
  { keys: ["PageUp"], label: "Page ↑", help: "one page up", command: { do: "page", by: -1 } },
  { keys: ["Home"], label: "Home", help: "first process", command: { do: "first" } },
  { keys: ["End"], label: "End", help: "last process", command: { do: "last" } },
  { keys: ["ArrowRight", "+"], label: "→ +", help: "expand", command: { do: "expand" } },
  { keys: ["ArrowLeft", "-"], label: "← −", help: "collapse, or go to the parent", command: { do: "collapse" } },
  { keys: [" "], label: "Space", help: "expand or collapse", command: { do: "toggle" } },
  { keys: ["*"], label: "*", help: "expand all", command: { do: "expandAll" } },
  { keys: ["_"], label: "_", help: "collapse all", command: { do: "collapseAll" } },
  { keys: ["Enter"], label: "Enter", help: "open the process", command: { do: "open" } },
  { keys: ["/", "F3", "F4"], label: "/ F3 F4", help: "go to the filter", command: { do: "filter" } },
  { keys: ["Escape"], label: "Esc", help: "clear the filter", command: { do: "clear" } },
  { keys: ["t"], label: "t", help: "switch between tree and list", command: { do: "tree" } },
  { keys: ["P"], label: "P", help: "sort by CPU", command: { do: "sort", by: "cpu" } },
  { keys: ["M"], label: "M", help: "sort by memory", command: { do: "sort", by: "memory" } },
  { keys: ["N"], label: "N", help: "sort by PID", command: { do: "sort", by: "pid" } },
  { keys: ["T"], label: "T", help: "sort by start time", command: { do: "sort", by: "started" } },
  { keys: ["I"], label: "I", help: "reverse the order", command: { do: "invert" } },
  { keys: ["u"], label: "u", help: "show only this user, or all users", command: { do: "user" } },
  { keys: ["x"], label: "x", help: "exclude processes of this name", command: { do: "exclude" } },
  { keys: ["c"], label: "c", help: "copy the command line", command: { do: "copy" } },
  { keys: ["?", "h", "F1"], label: "? h F1", help: "show this help", command: { do: "help" } },
];

const commands = new Map(
  keyBindings.flatMap(({ keys, command }) => keys.map((key): [string, Command] => [key, command])),
);

/** Returns the command of a key; undefined if there is none or if a modifier such as Ctrl is pressed. */
export function commandForKey(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "altKey" | "metaKey">,
): Command | undefined {
  return event.ctrlKey || event.altKey || event.metaKey ? undefined : commands.get(event.key);
}
