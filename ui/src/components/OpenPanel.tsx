import * as Popover from "@radix-ui/react-popover";
import { useState } from "react";
import { ClosePanel, type PanelProps, buttonOf } from "./Menu";

/** A panel that begins open; its button closes and opens it from then on. */
export default function OpenPanel(props: PanelProps) {
  const [open, setOpen] = useState(true);
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger {...buttonOf(props)} />
      <Popover.Portal>
        <Popover.Content className="panel" align="end" sideOffset={4} collisionPadding={8} aria-label={props.label}>
          <ClosePanel value={() => setOpen(false)}>{props.children}</ClosePanel>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
