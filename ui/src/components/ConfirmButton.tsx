import { useState } from "react";

interface ConfirmButtonProps {
  label: string;
  question: string;
  disabled?: boolean;
  onConfirm: () => void;
}

/** A button for an action that cannot be undone. It asks for confirmation first. */
export function ConfirmButton({ label, question, disabled, onConfirm }: ConfirmButtonProps) {
  const [asking, setAsking] = useState(false);
  if (!asking) {
    return (
      <button type="button" className="plain" disabled={disabled} onClick={() => setAsking(true)}>
        {label}
      </button>
    );
  }
  return (
    <span className="confirm">
      {question}{" "}
      <button
        type="button"
        disabled={disabled}
        onClick={() => {
          setAsking(false);
          onConfirm();
        }}
      >
        {label}
      </button>{" "}
      <button type="button" className="plain" onClick={() => setAsking(false)}>
        Cancel
      </button>
    </span>
  );
}
