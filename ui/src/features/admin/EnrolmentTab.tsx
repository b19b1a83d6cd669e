import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { enrolmentKeysQuery, useAddEnrolmentKey, useRevokeEnrolmentKey } from "../../api/admin";
import { serverUrl } from "../../api/basePath";
import { fieldError } from "../../api/client";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";
import { CredentialForm } from "./CredentialForm";
import { CredentialTable } from "./CredentialTable";

const hour = 3_600_000;

/** Returns the command that adds a machine. */
export const enrolCommand = (key: string) => `SNAPWATCH_ENROLMENT_KEY=${key} snapwatch-agent --server ${serverUrl}`;

export function EnrolmentTab() {
  const { data: keys, error } = useQuery(enrolmentKeysQuery);
  const revoke = useRevokeEnrolmentKey();
  return (
    <>
      <EnrolmentKeyForm />
      {error && <Notice kind="error" title={error.message} />}
      {keys?.length === 0 && <p className="quiet">No active enrolment keys.</p>}
      {keys && keys.length > 0 && (
        <CredentialTable
          label="Enrolment keys"
          credentials={keys}
          columns={[
            {
              title: "Key",
              cell: (key) => (
                <>
                  {key.name}
                  {key.takes_over && <span className="quiet block">Allows reinstalled machines to re-enrol</span>}
                </>
              ),
            },
            { title: "Machine tags", cell: (key) => key.tags.join(", ") || <span className="quiet">none</span> },
            { title: "Uses left", right: true, cell: (key) => key.uses_left ?? "unlimited" },
          ]}
          question="Revoke this key? Enrolled machines keep their access."
          revoke={revoke}
        />
      )}
    </>
  );
}

function EnrolmentKeyForm() {
  const add = useAddEnrolmentKey();
  const [uses, setUses] = useState("1");
  const [takesOver, setTakesOver] = useState(false);
  return (
    <CredentialForm
      title="Add machines"
      description="Create an enrolment key to connect agents. Each agent exchanges the key for its own token."
      button="Create key"
      namePlaceholder="rack 7"
      tags={{ initial: "", hint: "For these machines, separated by commas." }}
      lifetime={{ label: "Expires in hours", initial: "24", min: "0.1", unitMs: hour }}
      create={{
        ...add,
        mutate: (values) =>
          add.mutate({ ...values, ...(uses && { uses: Number(uses) }), ...(takesOver && { takes_over: true }) }),
      }}
      secret={({ key }) => ({
        text: enrolCommand(key),
        note: "Run this command on each machine. The key is shown only once.",
      })}
      fields={["uses"]}
      options={
        <p>
          <label>
            <input type="checkbox" checked={takesOver} onChange={(e) => setTakesOver(e.target.checked)} /> Allow
            reinstalled machines to re-enrol
          </label>
        </p>
      }
    >
      <Field
        label="Number of machines"
        type="number"
        min="1"
        max="100000"
        value={uses}
        onChange={(e) => setUses(e.target.value)}
        hint="Leave empty for any number."
        error={fieldError(add.error, "uses")}
      />
    </CredentialForm>
  );
}
