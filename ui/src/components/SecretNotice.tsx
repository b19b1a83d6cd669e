import { useState } from "react";
import { copyText, canCopy } from "../export";

interface SecretNoticeProps {
  text: string;
  children: string;
  onDone: () => void;
}

/** Shows a secret once, with a button that copies it. */
export function SecretNotice({ text, children, onDone }: SecretNoticeProps) {
  const [copied, setCopied] = useState(false);
  return (
    <div className="notice" role="status">
      <strong>{children}</strong>
      <pre className="secret" data-testid="secret">
        {text}
      </pre>
      {canCopy() && (
        <button type="button" onClick={() => void copyText(text).then(setCopied)}>
          {copied ? "Copied" : "Copy"}
        </button>
      )}{" "}
      <button type="button" className="plain" onClick={onDone}>
        Done
      </button>
    </div>
  );
}
