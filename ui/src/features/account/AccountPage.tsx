import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { type CurrentUser, fieldError } from "../../api/client";
import {
  currentUserQuery,
  sessionsQuery,
  useChangePassword,
  useConfirmTotp,
  useEndSession,
  useStartTotp,
  useDisableTotp,
} from "../../api/account";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";
import { TimeAgo } from "../../components/Timestamps";

/** One's own account: what one is, how one logs in, and from where one has. */
export function AccountPage() {
  const { data: self } = useQuery(currentUserQuery);
  if (!self) return null;
  const sees =
    self.role === "admin" || self.tags.includes("*")
      ? "every machine"
      : self.tags.length
        ? `machines tagged ${self.tags.join(", ")}`
        : "no machine yet: an administrator grants tags";
  return (
    <main className="narrow">
      <h1>{self.name}</h1>
      <p className="quiet">
        {self.role === "admin" ? "Administrator" : "User"}; sees {sees}.
      </p>
      {self.password ? (
        <>
          <Password />
          {self.totp ? <RemoveCodes /> : <AddCodes />}
        </>
      ) : (
        <Notice title="You log in through the identity provider.">
          Your password and one-time codes are kept there.
        </Notice>
      )}
      <Sessions self={self} />
    </main>
  );
}

function Password() {
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const change = useChangePassword();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate(
      { password: current, new_password: fresh },
      {
        onSuccess: () => {
          setCurrent("");
          setFresh("");
          setAgain("");
        },
      },
    );
  };
  const edit = (set: (text: string) => void) => (event: { target: { value: string } }) => {
    change.reset();
    set(event.target.value);
  };
  return (
    <form className="card" onSubmit={submit} aria-labelledby="password-title">
      <h2 id="password-title">Password</h2>
      <Field
        label="Present password"
        type="password"
        value={current}
        onChange={edit(setCurrent)}
        autoComplete="current-password"
        required
        wrong={fieldError(change.error, "password")}
      />
      <Field
        label="New password"
        type="password"
        value={fresh}
        onChange={edit(setFresh)}
        autoComplete="new-password"
        required
        minLength={12}
        hint="At least 12 characters. Your other sessions end."
        wrong={fieldError(change.error, "new_password")}
      />
      <Field
        label="New password again"
        type="password"
        value={again}
        onChange={edit(setAgain)}
        autoComplete="new-password"
        required
        wrong={again && again !== fresh ? "The two are not the same." : undefined}
      />
      {change.error && !fieldError(change.error, "password") && !fieldError(change.error, "new_password") && (
        <p className="wrong" role="alert">
          {change.error.message}
        </p>
      )}
      <button type="submit" disabled={change.isPending || !fresh || fresh !== again}>
        Change
      </button>{" "}
      {change.isSuccess && <span role="status">Changed.</span>}
    </form>
  );
}

function AddCodes() {
  const offer = useStartTotp();
  const confirm = useConfirmTotp();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  if (!offer.data) {
    return (
      <section className="card" aria-labelledby="codes-title">
        <h2 id="codes-title">One-time codes</h2>
        <p>With an authenticator on your phone, a stolen password alone does not let anybody in.</p>
        <button type="button" disabled={offer.isPending} onClick={() => offer.mutate()}>
          Set up
        </button>
        {offer.error && <p className="wrong">{offer.error.message}</p>}
      </section>
    );
  }
  const { secret, image } = offer.data;
  return (
    <form
      className="card"
      aria-labelledby="codes-title"
      onSubmit={(event) => {
        event.preventDefault();
        confirm.mutate({ password, secret, code });
      }}
    >
      <h2 id="codes-title">One-time codes</h2>
      <p>Scan this with your authenticator, or type the key, and give the code that it shows.</p>
      <img className="qr" src={image} alt="QR code of the key below" width="240" height="240" />
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
        wrong={fieldError(confirm.error, "code")}
      />
      <Field
        label="Password"
        type="password"
        value={password}
        onChange={(e) => setPassword(e.target.value)}
        autoComplete="current-password"
        required
        wrong={fieldError(confirm.error, "password")}
      />
      <button type="submit" disabled={confirm.isPending}>
        Use codes from now on
      </button>{" "}
      <button type="button" className="plain" onClick={() => offer.reset()}>
        Not now
      </button>
    </form>
  );
}

function RemoveCodes() {
  const remove = useDisableTotp();
  const [password, setPassword] = useState("");
  return (
    <form
      className="card"
      aria-labelledby="codes-title"
      onSubmit={(event) => {
        event.preventDefault();
        remove.mutate({ password });
      }}
    >
      <h2 id="codes-title">One-time codes</h2>
      <p>Are asked for when you log in.</p>
      <Field
        label="Password"
        type="password"
        value={password}
        onChange={(e) => setPassword(e.target.value)}
        autoComplete="current-password"
        required
        wrong={fieldError(remove.error, "password")}
      />
      <button type="submit" disabled={remove.isPending}>
        Ask for them no more
      </button>
    </form>
  );
}

/** What a browser says of itself, in a few words. */
export function browserOf(agent: string): string {
  const name = agent.includes("Edg/")
    ? "Edge"
    : agent.includes("Firefox/")
      ? "Firefox"
      : agent.includes("Chrome/")
        ? "Chrome"
        : agent.includes("Safari/")
          ? "Safari"
          : agent.split(/[ /]/)[0] || "Unknown";
  const system = agent.includes("Windows")
    ? "Windows"
    : agent.includes("Android")
      ? "Android"
      : /iPhone|iPad/.test(agent)
        ? "iOS"
        : agent.includes("Mac OS X")
          ? "macOS"
          : agent.includes("Linux")
            ? "Linux"
            : "";
  return system ? `${name} on ${system}` : name;
}

function Sessions({ self }: { self: CurrentUser }) {
  const { data: sessions, error } = useQuery({ ...sessionsQuery, enabled: self.session });
  const end = useEndSession();
  return (
    <section className="card" aria-labelledby="sessions-title">
      <h2 id="sessions-title">Where you are logged in</h2>
      {error && <p className="wrong">{error.message}</p>}
      <ul className="rows">
        {sessions?.map((session) => (
          <li key={session.id}>
            <span>
              {browserOf(session.user_agent)} <span className="quiet">from {session.address}</span>
              <span className="quiet block">
                last used <TimeAgo at={session.last_seen} />
              </span>
            </span>
            {session.current ? (
              <span className="badge up">this one</span>
            ) : (
              <button type="button" className="plain" disabled={end.isPending} onClick={() => end.mutate(session.id)}>
                End
              </button>
            )}
          </li>
        ))}
      </ul>
      {end.error && <p className="wrong">{end.error.message}</p>}
    </section>
  );
}
