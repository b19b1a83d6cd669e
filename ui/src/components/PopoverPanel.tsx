import * as Popover from "@radix-ui/react-popover";
import { useState } from "react";
import { ClosePanelContext, type PanelProps, triggerProps } from "./panelContext";

/** A panel that is initially open. Its button then opens and closes it. */
export default function PopoverPanel(props: PanelProps) {
  const [open, setOpen] = useState(true);
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger {...triggerProps(props)} />
      <Popover.Portal>
        <Popover.Content className="panel" align="end" sideOffset={4} collisionPadding={8} aria-label={props.label}>
          <ClosePanelContext value={() => setOpen(false)}>{props.children}</ClosePanelContext>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
