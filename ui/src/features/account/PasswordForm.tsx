import { type SyntheticEvent, useState } from "react";
import { useChangePassword } from "../../api/account";
import { fieldError } from "../../api/client";
import { Field } from "../../components/Field";
import { FormError } from "../../components/FormError";

export function PasswordForm() {
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const [confirmation, setConfirmation] = useState("");
  const change = useChangePassword();
  const clear = () => {
    setCurrent("");
    setPassword("");
    setConfirmation("");
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    change.mutate({ password: current, new_password: password }, { onSuccess: clear });
  };
  const edit = (set: (text: string) => void) => (event: { target: { value: string } }) => {
    change.reset();
    set(event.target.value);
  };
  return (
    <form className="card" onSubmit={submit} aria-labelledby="password-title">
      <h2 id="password-title">Password</h2>
      <Field
        label="Current password"
        type="password"
        value={current}
        onChange={edit(setCurrent)}
        autoComplete="current-password"
        required
        error={fieldError(change.error, "password")}
      />
      <Field
        label="New password"
        type="password"
        value={password}
        onChange={edit(setPassword)}
        autoComplete="new-password"
        required
        minLength={12}
        hint="At least 12 characters, and not a common password. Your other sessions will be signed out."
        error={fieldError(change.error, "new_password")}
      />
      <Field
        label="Confirm new password"
        type="password"
        value={confirmation}
        onChange={edit(setConfirmation)}
        autoComplete="new-password"
        required
        error={confirmation && confirmation !== password ? "The passwords do not match." : undefined}
      />
      <FormError error={change.error} fields={["password", "new_password"]} />
      <button type="submit" disabled={change.isPending || !password || password !== confirmation}>
        Change password
      </button>{" "}
      {change.isSuccess && <span role="status">Password changed.</span>}
    </form>
  );
}
