import { Dialog } from "../../../components/Dialog";
import { keyBindings } from "./keyBindings";

/** Lists the keyboard shortcuts of the process table. */
export function KeyboardHelp({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <p className="quiet">
        These shortcuts work while the process table has the focus. Click the table, or press Tab to reach it.
      </p>
      <dl className="keys">
        {keyBindings.map(({ label, help }) => (
          <div key={label}>
            <dt>
              {label.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{help}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
