import { useQuery } from "@tanstack/react-query";
import { currentUserQuery } from "../../api/account";
import type { CurrentUser } from "../../api/client";
import { Notice } from "../../components/Notice";
import { PasswordForm } from "./PasswordForm";
import { SessionList } from "./SessionList";
import { TotpSettings } from "./TotpSettings";

/** The account of the signed-in user: password, authenticator app and sessions. */
export function AccountPage() {
  const { data: user } = useQuery(currentUserQuery);
  if (!user) return null;
  return (
    <main className="narrow">
      <h1>{user.name}</h1>
      <p className="quiet">{describeAccess(user)}</p>
      {user.password ? (
        <>
          <PasswordForm />
          <TotpSettings enabled={user.totp} />
        </>
      ) : (
        <Notice title="You sign in through an identity provider.">
          Change your password and your authenticator app there.
        </Notice>
      )}
      <SessionList user={user} />
    </main>
  );
}

function describeAccess(user: CurrentUser): string {
  if (user.role === "admin") return "Administrator with access to all machines.";
  if (user.tags.includes("*")) return "User with access to all machines.";
  if (user.tags.length > 0) return `User with access to machines tagged ${user.tags.join(", ")}.`;
  return "You do not have access to any machines yet. Ask an administrator for access.";
}
