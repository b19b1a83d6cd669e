import { useQuery } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";
import { currentUserQuery } from "../../api/account";
import { useDeleteUser, useUpdateUser, usersQuery } from "../../api/admin";
import type { User } from "../../api/client";
import { ConfirmButton } from "../../components/ConfirmButton";
import { Notice } from "../../components/Notice";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { TimeAgo } from "../../components/Timestamps";
import { parseTags } from "../../parseLists";
import { AddUserForm } from "./AddUserForm";

const columns = [
  { title: "Name" },
  { title: "Role" },
  { title: "Machine tags" },
  { title: "Sign-in method" },
  { title: "Last sign-in" },
  { title: "Actions", hidden: true },
];

export function UsersTab() {
  const { data: users, error } = useQuery(usersQuery);
  return (
    <>
      {error && <Notice kind="error" title={error.message} />}
      <ScrollRegion label="Users">
        <table>
          <TableHead columns={columns} />
          <tbody>
            {users?.map((user) => (
              <UserRow key={user.name} user={user} />
            ))}
          </tbody>
        </table>
      </ScrollRegion>
      <AddUserForm />
    </>
  );
}

function UserRow({ user }: { user: User }) {
  const { data: currentUser } = useQuery(currentUserQuery);
  const update = useUpdateUser();
  const remove = useDeleteUser();
  const isSelf = currentUser?.name === user.name;
  const error = update.error ?? remove.error;
  return (
    <tr data-user={user.name} className={user.disabled ? "faint" : undefined}>
      <th scope="row">
        {user.name}
        {isSelf && <span className="quiet"> (you)</span>}
        {user.disabled && <span className="quiet block">disabled</span>}
        {error && <span className="wrong block">{error.message}</span>}
      </th>
      <td>
        <select
          aria-label={`Role of ${user.name}`}
          value={user.role}
          disabled={isSelf || user.elsewhere || update.isPending}
          onChange={(e) => update.mutate({ name: user.name, patch: { role: e.target.value as User["role"] } })}
        >
          <option value="user">user</option>
          <option value="admin">admin</option>
        </select>
      </td>
      <td>{user.role === "admin" ? <span className="quiet">all</span> : <TagsForm user={user} update={update} />}</td>
      <td>{user.elsewhere ? "identity provider" : user.totp ? "password and code" : "password"}</td>
      <td>{user.last_login ? <TimeAgo at={user.last_login} /> : <span className="quiet">never</span>}</td>
      <td className="right">
        {!isSelf && (
          <>
            <button
              type="button"
              className="plain"
              disabled={update.isPending}
              onClick={() => update.mutate({ name: user.name, patch: { disabled: !user.disabled } })}
            >
              {user.disabled ? "Enable" : "Disable"}
            </button>
            <ConfirmButton
              label="Delete"
              question={`Delete ${user.name}?`}
              disabled={remove.isPending}
              onConfirm={() => remove.mutate(user.name)}
            />
          </>
        )}
      </td>
    </tr>
  );
}

function TagsForm({ user, update }: { user: User; update: ReturnType<typeof useUpdateUser> }) {
  const [draft, setDraft] = useState<string>();
  const value = draft ?? user.tags.join(", ");
  const changed = draft !== undefined && parseTags(draft).join() !== [...user.tags].sort().join();
  const save = (event: SyntheticEvent) => {
    event.preventDefault();
    const patch = { tags: parseTags(value) };
    update.mutate({ name: user.name, patch }, { onSuccess: () => setDraft(undefined) });
  };
  return (
    <form className="inline" onSubmit={save}>
      <input
        aria-label={`Tags of ${user.name}`}
        value={value}
        placeholder="None; * for all"
        onChange={(e) => setDraft(e.target.value)}
      />
      {changed && (
        <button type="submit" disabled={update.isPending}>
          Save
        </button>
      )}
    </form>
  );
}
