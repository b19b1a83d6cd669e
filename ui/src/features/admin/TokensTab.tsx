import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { tokensQuery, useAddToken, useRevokeToken } from "../../api/admin";
import type { NewToken, Token } from "../../api/client";
import { Notice } from "../../components/Notice";
import { TimeAgo } from "../../components/Timestamps";
import { CredentialForm } from "./CredentialForm";
import { CredentialTable } from "./CredentialTable";
import { LoadMore } from "./LoadMore";

const day = 86_400_000;

/** The permissions that a token can have, with the request body that creates it. */
const permissions = {
  read: { label: "Read machines", body: { role: "user", scopes: ["machines.read"] } },
  metrics: { label: "Read metrics (Prometheus)", body: { role: "user", scopes: ["metrics.read"] } },
  admin: { label: "Full access", body: { role: "admin" } },
} satisfies Record<string, { label: string; body: Pick<NewToken, "role" | "scopes"> }>;
type Permission = keyof typeof permissions;

export function TokensTab() {
  const tokens = useInfiniteQuery(tokensQuery);
  const revoke = useRevokeToken();
  return (
    <>
      <TokenForm />
      {tokens.error && <Notice kind="error" title={tokens.error.message} />}
      {tokens.data && (
        <CredentialTable
          label="API tokens"
          credentials={tokens.data.pages.flatMap((page) => page.results)}
          columns={[
            {
              title: "Token",
              cell: (token) => (
                <>
                  {token.name} <span className="quiet">{token.id}</span>
                </>
              ),
            },
            {
              title: "Role",
              cell: (token) => (
                <>
                  {token.role}
                  {token.scopes.length > 0 && <span className="quiet block">{token.scopes.join(", ")}</span>}
                </>
              ),
            },
            { title: "Machines", cell: (token) => <TokenMachines token={token} /> },
            {
              title: "Last used",
              cell: ({ last_used }) => (last_used ? <TimeAgo at={last_used} /> : <span className="quiet">never</span>),
            },
          ]}
          question="Revoke this token? It stops working immediately."
          revoke={revoke}
        />
      )}
      <LoadMore query={tokens} />
    </>
  );
}

function TokenMachines({ token }: { token: Token }) {
  if (token.machine_id) return <code>{token.machine_id}</code>;
  if (token.role === "admin" || token.tags.includes("*")) return "all";
  return token.tags.length > 0 ? `tagged ${token.tags.join(", ")}` : <span className="quiet">none</span>;
}

function TokenForm() {
  const add = useAddToken();
  const [permission, setPermission] = useState<Permission>("read");
  const { body } = permissions[permission];
  return (
    <CredentialForm
      title="Create an API token"
      button="Create token"
      namePlaceholder="backup script"
      tags={{ initial: "*", hint: "The machines it can read; * for all.", hidden: permission === "admin" }}
      lifetime={{ label: "Expires in days", initial: "90", min: "0.01", unitMs: day }}
      create={{
        ...add,
        mutate: ({ tags, ...values }) => add.mutate({ ...values, ...body, ...(permission !== "admin" && { tags }) }),
      }}
      secret={({ token }) => ({ text: token, note: "Copy the token now. It is shown only once." })}
    >
      <div className="field">
        <label htmlFor="permission">Permissions</label>
        <select id="permission" value={permission} onChange={(e) => setPermission(e.target.value as Permission)}>
          {Object.entries(permissions).map(([key, { label }]) => (
            <option key={key} value={key}>
              {label}
            </option>
          ))}
        </select>
      </div>
    </CredentialForm>
  );
}
