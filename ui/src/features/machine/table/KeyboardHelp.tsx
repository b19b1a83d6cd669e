import { Dialog } from "../../../components/Dialog";
import { bindings } from "./keyBindings";

/** Which keys do what in the table. */
export function KeyboardHelp({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <p className="quiet">While the table has the focus: click into it, or come to it with Tab.</p>
      <dl className="keys">
        {bindings.map(({ label, help }) => (
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
