import { useState } from "react";

/** Something secret that is told once, with a way to copy it. */
export function SecretNotice({ text, children, onDone }: { text: string; children: string; onDone: () => void }) {
  const [copied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard?.writeText(text).then(() => setCopied(true));
  return (
    <div className="notice" role="status">
      <strong>{children}</strong>
      <pre className="secret" data-testid="secret">
        {text}
      </pre>
      {navigator.clipboard && (
        <button type="button" onClick={copy}>
          {copied ? "Copied" : "Copy"}
        </button>
      )}{" "}
      <button type="button" className="plain" onClick={onDone}>
        Done
      </button>
    </div>
  );
}
