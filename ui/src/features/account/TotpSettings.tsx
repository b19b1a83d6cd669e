import { type SyntheticEvent, useState } from "react";
import { useConfirmTotp, useDisableTotp, useStartTotp } from "../../api/account";
import { fieldError } from "../../api/client";
import { Field } from "../../components/Field";
import { FormError } from "../../components/FormError";

/** Sets up or turns off two-factor authentication with an authenticator app. */
export function TotpSettings({ enabled }: { enabled: boolean }) {
  const start = useStartTotp();
  if (enabled) return <DisableForm />;
  if (start.data) return <ConfirmForm secret={start.data.secret} image={start.data.image} onCancel={start.reset} />;
  return (
    <section className="card" aria-labelledby="totp-title">
      <h2 id="totp-title">Two-factor authentication</h2>
      <p>Protect your account with an authenticator app. A stolen password is then not enough to sign in.</p>
      <button type="button" disabled={start.isPending} onClick={() => start.mutate()}>
        Set up
      </button>
      {start.error && <p className="wrong">{start.error.message}</p>}
    </section>
  );
}

function ConfirmForm({ secret, image, onCancel }: { secret: string; image: string; onCancel: () => void }) {
  const confirm = useConfirmTotp();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    confirm.mutate({ password, secret, code });
  };
  return (
    <form className="card" aria-labelledby="totp-title" onSubmit={submit}>
      <h2 id="totp-title">Two-factor authentication</h2>
      <p>Scan the QR code with your authenticator app, or type in the key. Then enter the code that the app shows.</p>
      <img className="qr" src={image} alt="QR code of the key" width="240" height="240" />
      <p>
        <code>{secret.replace(/(.{4})/g, "$1 ")}</code>
      </p>
      <Field
        label="Code"
        value={code}
        onChange={(e) => setCode(e.target.value)}
        autoComplete="one-time-code"
        inputMode="numeric"
        required
        error={fieldError(confirm.error, "code")}
      />
      <PasswordField value={password} onChange={setPassword} error={confirm.error} />
      <FormError error={confirm.error} fields={["code", "password"]} />
      <button type="submit" disabled={confirm.isPending}>
        Turn on
      </button>{" "}
      <button type="button" className="plain" onClick={onCancel}>
        Cancel
      </button>
    </form>
  );
}

function DisableForm() {
  const disable = useDisableTotp();
  const [password, setPassword] = useState("");
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    disable.mutate({ password });
  };
  return (
    <form className="card" aria-labelledby="totp-title" onSubmit={submit}>
      <h2 id="totp-title">Two-factor authentication</h2>
      <p>On. You need a code from your authenticator app to sign in.</p>
      <PasswordField value={password} onChange={setPassword} error={disable.error} />
      <FormError error={disable.error} fields={["password"]} />
      <button type="submit" disabled={disable.isPending}>
        Turn off
      </button>
    </form>
  );
}

interface PasswordFieldProps {
  value: string;
  onChange: (value: string) => void;
  error: Error | null;
}

function PasswordField({ value, onChange, error }: PasswordFieldProps) {
  return (
    <Field
      label="Password"
      type="password"
      value={value}
      onChange={(e) => onChange(e.target.value)}
      autoComplete="current-password"
      required
      error={fieldError(error, "password")}
    />
  );
}
