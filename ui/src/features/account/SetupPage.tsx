import { useNavigate } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";
import { useSetup } from "../../api/account";
import { ApiError, fieldError } from "../../api/client";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";

/** Creates the first account. The secret of the setup link follows #, because browsers do not send that part. */
export function SetupPage() {
  const [secret] = useState(() => window.location.hash.slice(1));
  return (
    <main className="narrow">
      <h1>Create your admin account</h1>
      {secret ? (
        <>
          <p className="quiet">An administrator has access to all machines and manages users.</p>
          <SetupForm secret={secret} />
        </>
      ) : (
        <Notice kind="error" title="The setup link is incomplete.">
          Copy the whole link that the server printed, including the part after #.
        </Notice>
      )}
    </main>
  );
}

function SetupForm({ secret }: { secret: string }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [confirmation, setConfirmation] = useState("");
  const setup = useSetup();
  const navigate = useNavigate();
  const problem = setup.error instanceof ApiError ? setup.error.problem : undefined;

  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setup.mutate({ secret, name, password }, { onSuccess: () => void navigate({ to: "/", replace: true }) });
  };

  return (
    <form className="card" onSubmit={submit}>
      <Field
        label="Name"
        value={name}
        onChange={(e) => setName(e.target.value)}
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        // eslint-disable-next-line jsx-a11y/no-autofocus -- the page has no other purpose than this form
        autoFocus
        required
        maxLength={64}
        error={fieldError(setup.error, "name")}
      />
      <Field
        label="Password"
        type="password"
        value={password}
        onChange={(e) => setPassword(e.target.value)}
        autoComplete="new-password"
        required
        minLength={12}
        maxLength={256}
        hint="At least 12 characters. A few random words make a good password."
        error={fieldError(setup.error, "password")}
      />
      <Field
        label="Confirm password"
        type="password"
        value={confirmation}
        onChange={(e) => setConfirmation(e.target.value)}
        autoComplete="new-password"
        required
        error={confirmation && confirmation !== password ? "The passwords do not match." : undefined}
      />
      {setup.error && !problem?.field && (
        <p className="wrong" role="alert">
          {setup.error.message}
        </p>
      )}
      <button type="submit" disabled={setup.isPending || password === "" || password !== confirmation}>
        {setup.isPending ? "Creating account…" : "Create account"}
      </button>
    </form>
  );
}
