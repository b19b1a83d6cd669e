import { useInfiniteQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { tokensQuery, useAddToken, useRevokeToken } from "../../api/admin";
import { type NewToken, fieldError } from "../../api/client";
import { ConfirmButton } from "../../components/ConfirmButton";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";
import { SecretNotice } from "../../components/SecretNotice";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { TimeAgo, ExpiryTime } from "../../components/Timestamps";
import { parseTags } from "../../parseLists";

/** What a token for a program is for, and what it may. */
const purposes = {
  read: { label: "Read machines", body: { role: "user", scopes: ["machines.read"] } },
  metrics: { label: "Prometheus: read metrics", body: { role: "user", scopes: ["metrics.read"] } },
  admin: { label: "Everything", body: { role: "admin" } },
} satisfies Record<string, { label: string; body: Pick<NewToken, "role" | "scopes"> }>;
type Purpose = keyof typeof purposes;

export function TokensTab() {
  const { data, error, hasNextPage, fetchNextPage, isFetching } = useInfiniteQuery(tokensQuery);
  const revoke = useRevokeToken();
  const tokens = data?.pages.flatMap((page) => page.results);
  return (
    <>
      <AddToken />
      {error && <Notice kind="error" title={error.message} />}
      {tokens && (
        <ScrollRegion label="Tokens">
          <table>
            <TableHead
              columns={[
                { title: "Token" },
                { title: "Role" },
                { title: "Reaches" },
                { title: "Last used" },
                { title: "Ends" },
                { title: "Made by" },
                { title: "Actions", unseen: true },
              ]}
            />
            <tbody>
              {tokens.map((token) => (
                <tr key={token.id}>
                  <th scope="row">
                    {token.name} <span className="quiet">{token.id}</span>
                  </th>
                  <td>
                    {token.role}
                    {token.scopes && <span className="quiet block">{token.scopes.join(", ")}</span>}
                  </td>
                  <td>
                    {token.machine_id ? (
                      <code>{token.machine_id}</code>
                    ) : token.role === "admin" || token.tags.includes("*") ? (
                      "all machines"
                    ) : (
                      token.tags.join(", ") || <span className="quiet">nothing</span>
                    )}
                  </td>
                  <td>{token.last_used ? <TimeAgo at={token.last_used} /> : <span className="quiet">never</span>}</td>
                  <td>
                    {token.expires_at ? <ExpiryTime at={token.expires_at} /> : <span className="quiet">never</span>}
                  </td>
                  <td>{token.created_by}</td>
                  <td className="right">
                    <ConfirmButton
                      label="Revoke"
                      question="It ends at once."
                      disabled={revoke.isPending}
                      onConfirm={() => revoke.mutate(token.id)}
                    />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
      {revoke.error && <p className="wrong">{revoke.error.message}</p>}
      {hasNextPage && (
        <p>
          <button type="button" disabled={isFetching} onClick={() => void fetchNextPage()}>
            More
          </button>
        </p>
      )}
    </>
  );
}

function AddToken() {
  const add = useAddToken();
  const [name, setName] = useState("");
  const [purpose, setPurpose] = useState<Purpose>("read");
  const [tags, setTags] = useState("*");
  const [days, setDays] = useState("90");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate({
      name,
      ...purposes[purpose].body,
      ...(purpose !== "admin" && { tags: parseTags(tags) }),
      ...(days && { expires_at: new Date(Date.now() + Number(days) * 86_400_000).toISOString() }),
    });
  };
  if (add.data) {
    return (
      <SecretNotice text={add.data.token} onDone={() => add.reset()}>
        The token is shown this once.
      </SecretNotice>
    );
  }
  return (
    <form className="card" onSubmit={submit} aria-labelledby="add-token-title">
      <h2 id="add-token-title">Make a token for a program</h2>
      <div className="columns">
        <Field
          label="Name"
          value={name}
          onChange={(e) => setName(e.target.value)}
          required
          maxLength={64}
          placeholder="backup script"
          wrong={fieldError(add.error, "name")}
        />
        <div className="field">
          <label htmlFor="purpose">May</label>
          <select id="purpose" value={purpose} onChange={(e) => setPurpose(e.target.value as Purpose)}>
            {Object.entries(purposes).map(([key, { label }]) => (
              <option key={key} value={key}>
                {label}
              </option>
            ))}
          </select>
        </div>
        {purpose !== "admin" && (
          <Field
            label="Tags"
            value={tags}
            onChange={(e) => setTags(e.target.value)}
            hint="Of the machines that it reaches; * is all"
            wrong={fieldError(add.error, "tags")}
          />
        )}
        <Field
          label="Days"
          type="number"
          min="0.01"
          step="any"
          value={days}
          onChange={(e) => setDays(e.target.value)}
          hint="Empty: for ever"
          wrong={fieldError(add.error, "expires_at")}
        />
      </div>
      {add.error && !["name", "tags", "expires_at"].some((field) => fieldError(add.error, field)) && (
        <p className="wrong" role="alert">
          {add.error.message}
        </p>
      )}
      <button type="submit" disabled={add.isPending}>
        Make a token
      </button>
    </form>
  );
}
