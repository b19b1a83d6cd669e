import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { keysQuery, useAddKey, useRevokeKey } from "../../api/admin";
import { fieldError } from "../../api/client";
import { ConfirmButton } from "../../components/ConfirmButton";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";
import { SecretNotice } from "../../components/SecretNotice";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { ExpiryTime } from "../../components/Timestamps";
import { parseTags } from "../../parseLists";

/** What to run on a machine to have it here. */
export const enrolCommand = (key: string, origin: string) =>
  `SNAPWATCH_ENROLMENT_KEY=${key} snapwatch-agent --server ${origin}`;

export function EnrolmentTab() {
  const { data: keys, error } = useQuery(keysQuery);
  const revoke = useRevokeKey();
  return (
    <>
      <AddKey />
      {error && <Notice kind="error" title={error.message} />}
      {keys?.length === 0 && <p className="quiet">There are no enrolment keys that count.</p>}
      {keys && keys.length > 0 && (
        <ScrollRegion label="Enrolment keys">
          <table>
            <TableHead
              columns={[
                { title: "Key" },
                { title: "Machines get the tags" },
                { title: "Uses left", right: true },
                { title: "Ends" },
                { title: "Made by" },
                { title: "Actions", unseen: true },
              ]}
            />
            <tbody>
              {keys.map((key) => (
                <tr key={key.id}>
                  <th scope="row">
                    {key.name}
                    {key.takes_over && <span className="quiet block">may take over machines</span>}
                  </th>
                  <td>{key.tags.join(", ") || <span className="quiet">none</span>}</td>
                  <td className="right number">{key.uses_left ?? "any"}</td>
                  <td>{key.expires_at ? <ExpiryTime at={key.expires_at} /> : <span className="quiet">never</span>}</td>
                  <td>{key.created_by}</td>
                  <td className="right">
                    <ConfirmButton
                      label="Revoke"
                      question="Machines that have enrolled stay."
                      disabled={revoke.isPending}
                      onConfirm={() => revoke.mutate(key.id)}
                    />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollRegion>
      )}
      {revoke.error && <p className="wrong">{revoke.error.message}</p>}
    </>
  );
}

function AddKey() {
  const add = useAddKey();
  const [name, setName] = useState("");
  const [uses, setUses] = useState("1");
  const [hours, setHours] = useState("24");
  const [tags, setTags] = useState("");
  const [takesOver, setTakesOver] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate({
      name,
      tags: parseTags(tags),
      ...(uses && { uses: Number(uses) }),
      ...(takesOver && { takes_over: true }),
      ...(hours && { expires_at: new Date(Date.now() + Number(hours) * 3_600_000).toISOString() }),
    });
  };
  if (add.data) {
    return (
      <SecretNotice text={enrolCommand(add.data.key, window.location.origin)} onDone={() => add.reset()}>
        Run this on each machine. The key is shown this once.
      </SecretNotice>
    );
  }
  return (
    <form className="card" onSubmit={submit} aria-labelledby="add-key-title">
      <h2 id="add-key-title">Add machines</h2>
      <p>An enrolment key lets agents in. Each turns it into a token of its own, bound to its machine.</p>
      <div className="columns">
        <Field
          label="Name"
          value={name}
          onChange={(e) => setName(e.target.value)}
          required
          maxLength={64}
          placeholder="rack 7"
          wrong={fieldError(add.error, "name")}
        />
        <Field
          label="Machines"
          type="number"
          min="1"
          max="100000"
          value={uses}
          onChange={(e) => setUses(e.target.value)}
          hint="Empty: any number"
          wrong={fieldError(add.error, "uses")}
        />
        <Field
          label="Hours"
          type="number"
          min="0.1"
          step="any"
          value={hours}
          onChange={(e) => setHours(e.target.value)}
          hint="Empty: for ever"
          wrong={fieldError(add.error, "expires_at")}
        />
        <Field
          label="Tags"
          value={tags}
          onChange={(e) => setTags(e.target.value)}
          hint="Of these machines, separated by commas"
          wrong={fieldError(add.error, "tags")}
        />
      </div>
      <p>
        <label>
          <input type="checkbox" checked={takesOver} onChange={(e) => setTakesOver(e.target.checked)} /> For machines
          that are installed anew: it may replace the token of a machine that has one
        </label>
      </p>
      {add.error && !["name", "uses", "expires_at", "tags"].some((field) => fieldError(add.error, field)) && (
        <p className="wrong" role="alert">
          {add.error.message}
        </p>
      )}
      <button type="submit" disabled={add.isPending}>
        Make a key
      </button>
    </form>
  );
}
