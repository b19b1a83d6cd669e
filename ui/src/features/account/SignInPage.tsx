import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { ApiError } from "../../api/client";
import { signInMethodsQuery, currentUserQuery, useSignIn } from "../../api/account";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";

/** What the server's codes mean when the identity provider did not let somebody in. */
const failures: Record<string, string> = {
  no_role: "You are known there, but have no role here. Ask an administrator.",
  login_failed: "The log-in there was not finished, or took too long.",
};

/** Where strangers come to. Afterwards it goes on where they wanted to. */
export function SignInPage() {
  const { then, failed } = useSearch({ from: "/login" });
  const { data: self } = useQuery(currentUserQuery);
  const { data: methods, error: unreachable } = useQuery(signInMethodsQuery);
  const navigate = useNavigate();
  const login = useSignIn();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState<string>();
  const problem = login.error instanceof ApiError ? login.error.problem : undefined;
  const codeNeeded = problem?.code === "code_needed" || code !== undefined;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    login.mutate(
      { name, password, ...(code && { code }) },
      {
        onError: (error) => error instanceof ApiError && error.problem.code === "code_needed" && setCode(""),
      },
    );
  };

  useEffect(() => {
    if (self) void navigate({ href: then ?? "/", replace: true });
  }, [self, then, navigate]);

  return (
    <main className="narrow">
      <h1>Log in</h1>
      {methods?.setup_needed && (
        <Notice title="Nobody can log in yet.">
          The server has printed a link to make the first user: look where you started it, or into its journal.
        </Notice>
      )}
      {unreachable && <Notice kind="error" title="The server does not answer." />}
      {failed && (
        <Notice kind="error" title={`${methods?.provider ?? "The identity provider"} did not let you in.`}>
          {failures[failed] ?? "The server's log says why."}
        </Notice>
      )}
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
        />
        <Field
          label="Password"
          type="password"
          value={password}
          onChange={(e) => setPassword(e.target.value)}
          autoComplete="current-password"
          required
          maxLength={256}
        />
        {codeNeeded && (
          <Field
            label="One-time code"
            value={code ?? ""}
            onChange={(e) => setCode(e.target.value)}
            autoComplete="one-time-code"
            inputMode="numeric"
            autoFocus
            required
            maxLength={10}
            hint="From your authenticator"
          />
        )}
        {login.error && problem?.code !== "code_needed" && (
          <p className="wrong" role="alert">
            {login.error.message}
          </p>
        )}
        <button type="submit" disabled={login.isPending}>
          {login.isPending ? "Logging in…" : "Log in"}
        </button>
      </form>
      {methods?.provider && (
        <p>
          <a className="button" href="/api/v1/auth/oidc/login">
            Log in with {methods.provider}
          </a>
        </p>
      )}
    </main>
  );
}
