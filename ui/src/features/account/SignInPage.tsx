import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type SyntheticEvent, useEffect, useState } from "react";
import { currentUserQuery, signInMethodsQuery, useSignIn } from "../../api/account";
import { basePath } from "../../api/basePath";
import { ApiError } from "../../api/client";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";

/** Messages for the error codes of a sign-in through the identity provider. */
const failures: Record<string, string> = {
  no_role: "Your account has no access to this server. Ask an administrator.",
  login_failed: "The sign-in was canceled or took too long. Try again.",
};

/** Asks for a name and a password, then opens the page that was requested first. */
export function SignInPage() {
  const { then, failed } = useSearch({ from: "/login" });
  const { data: user } = useQuery(currentUserQuery);
  const { data: methods, error: unreachable } = useQuery(signInMethodsQuery);
  const navigate = useNavigate();

  useEffect(() => {
    if (user) void navigate({ href: basePath + (then ?? "/"), replace: true });
  }, [user, then, navigate]);

  return (
    <main className="narrow">
      <h1>Sign in</h1>
      {methods?.setup_needed && (
        <Notice title="There are no accounts yet.">
          Open the setup link that the server printed when it started. It is in the terminal or in the server’s log.
        </Notice>
      )}
      {unreachable && <Notice kind="error" title="Cannot reach the server." />}
      {failed && (
        <Notice kind="error" title={`Could not sign in with ${methods?.provider ?? "the identity provider"}.`}>
          {failures[failed] ?? "See the server’s log for the reason."}
        </Notice>
      )}
      <SignInForm />
      {methods?.provider && (
        <p>
          <a className="button" href={`${basePath}/api/v1/auth/oidc/login`}>
            Sign in with {methods.provider}
          </a>
        </p>
      )}
    </main>
  );
}

function SignInForm() {
  const signIn = useSignIn();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState<string>();
  const needsCode = signIn.error instanceof ApiError && signIn.error.problem.code === "code_needed";
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    signIn.mutate(
      { name, password, ...(code && { code }) },
      { onError: (error) => error instanceof ApiError && error.problem.code === "code_needed" && setCode("") },
    );
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
      {(needsCode || code !== undefined) && (
        <Field
          label="One-time code"
          value={code ?? ""}
          onChange={(e) => setCode(e.target.value)}
          autoComplete="one-time-code"
          inputMode="numeric"
          // eslint-disable-next-line jsx-a11y/no-autofocus -- the field appears as the next step of the sign-in
          autoFocus
          required
          maxLength={10}
          hint="From your authenticator app"
        />
      )}
      {signIn.error && !needsCode && (
        <p className="wrong" role="alert">
          {signIn.error.message}
        </p>
      )}
      <button type="submit" disabled={signIn.isPending}>
        {signIn.isPending ? "Signing in…" : "Sign in"}
      </button>
    </form>
  );
}
