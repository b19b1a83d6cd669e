import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { ApiError, fieldError } from "../../api/client";
import { useSetup } from "../../api/account";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";

/** Makes the first user. The link's secret follows #, which browsers do not send. */
export function SetupPage() {
  const [secret] = useState(() => window.location.hash.slice(1));
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const setup = useSetup();
  const navigate = useNavigate();
  const problem = setup.error instanceof ApiError ? setup.error.problem : undefined;
  const differ = again !== "" && again !== password;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setup.mutate({ secret, name, password }, { onSuccess: () => navigate({ to: "/", replace: true }) });
  };

  if (!secret) {
    return (
      <main className="narrow">
        <h1>Make the first user</h1>
        <Notice kind="error" title="This link is not complete.">
          Copy all of the link that the server has printed, with what follows #.
        </Notice>
      </main>
    );
  }
  return (
    <main className="narrow">
      <h1>Make the first user</h1>
      <p className="quiet">An administrator, who sees every machine and lets others in.</p>
      <form className="card" onSubmit={submit}>
        <Field
          label="Name"
          value={name}
          onChange={(e) => setName(e.target.value)}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          autoFocus
          required
          maxLength={64}
          wrong={fieldError(setup.error, "name")}
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
          hint="At least 12 characters; several words are good."
          wrong={fieldError(setup.error, "password")}
        />
        <Field
          label="Password again"
          type="password"
          value={again}
          onChange={(e) => setAgain(e.target.value)}
          autoComplete="new-password"
          required
          wrong={differ ? "The two are not the same." : undefined}
        />
        {setup.error && !problem?.field && (
          <p className="wrong" role="alert">
            {setup.error.message}
          </p>
        )}
        <button type="submit" disabled={setup.isPending || password === "" || password !== again}>
          {setup.isPending ? "One moment…" : "Begin"}
        </button>
      </form>
    </main>
  );
}
