import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Machine } from "../../api/client";
import { machineName } from "../../api/machineName";
import { useDeleteMachine } from "../../api/machines";
import { Notice } from "../../components/Notice";

/** Deletes a machine and its history, after a confirmation. */
export function DeleteMachine({ machine }: { machine: Machine }) {
  const [asking, setAsking] = useState(false);
  const remove = useDeleteMachine(machine.machine_id);
  const navigate = useNavigate();
  if (!asking) {
    return (
      <button type="button" className="plain" onClick={() => setAsking(true)}>
        Delete machine…
      </button>
    );
  }
  return (
    <Notice kind="error" title={`Delete ${machineName(machine, machine.machine_id)} and its entire history?`}>
      This cannot be undone. If the agent is still running, it registers the machine again.{" "}
      <button
        type="button"
        disabled={remove.isPending}
        onClick={() => remove.mutate(undefined, { onSuccess: () => void navigate({ to: "/" }) })}
      >
        Delete
      </button>{" "}
      <button type="button" className="plain" onClick={() => setAsking(false)}>
        Cancel
      </button>
      {remove.error && <p>{remove.error.message}</p>}
    </Notice>
  );
}
