import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useAddUser, useChangeUser, useDeleteUser, usersQuery } from "../../api/admin";
import { type User, fieldError } from "../../api/client";
import { currentUserQuery } from "../../api/account";
import { ConfirmButton } from "../../components/ConfirmButton";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";
import { ScrollRegion } from "../../components/ScrollRegion";
import { TableHead } from "../../components/TableHead";
import { TimeAgo } from "../../components/Timestamps";
import { parseTags } from "../../parseLists";

export function UsersTab() {
  const { data: users, error } = useQuery(usersQuery);
  return (
    <>
      {error && <Notice kind="error" title={error.message} />}
      <ScrollRegion label="Users">
        <table>
          <TableHead
            columns={[
              { title: "Name" },
              { title: "Role" },
              { title: "Sees machines tagged" },
              { title: "Logs in with" },
              { title: "Last log-in" },
              { title: "Actions", unseen: true },
            ]}
          />
          <tbody>
            {users?.map((user) => (
              <Row key={user.name} user={user} />
            ))}
          </tbody>
        </table>
      </ScrollRegion>
      <AddUser />
    </>
  );
}

function Row({ user }: { user: User }) {
  const { data: self } = useQuery(currentUserQuery);
  const change = useChangeUser();
  const remove = useDeleteUser();
  const [tags, setTags] = useState<string>();
  const own = self?.name === user.name;
  const shown = tags ?? user.tags.join(", ");
  const edited = tags !== undefined && parseTags(tags).join() !== [...user.tags].sort().join();
  const fault = change.error ?? remove.error;
  return (
    <tr data-user={user.name} className={user.disabled ? "faint" : undefined}>
      <th scope="row">
        {user.name}
        {own && <span className="quiet"> (you)</span>}
        {user.disabled && <span className="quiet block">disabled</span>}
        {fault && <span className="wrong block">{fault.message}</span>}
      </th>
      <td>
        <select
          aria-label={`Role of ${user.name}`}
          value={user.role}
          disabled={own || user.elsewhere || change.isPending}
          onChange={(e) => change.mutate({ name: user.name, patch: { role: e.target.value as User["role"] } })}
        >
          <option value="user">user</option>
          <option value="admin">admin</option>
        </select>
      </td>
      <td>
        {user.role === "admin" ? (
          <span className="quiet">all</span>
        ) : (
          <form
            className="inline"
            onSubmit={(event) => {
              event.preventDefault();
              change.mutate(
                { name: user.name, patch: { tags: parseTags(shown) } },
                { onSuccess: () => setTags(undefined) },
              );
            }}
          >
            <input
              aria-label={`Tags of ${user.name}`}
              value={shown}
              placeholder="none; * is all"
              onChange={(e) => setTags(e.target.value)}
            />
            {edited && (
              <button type="submit" disabled={change.isPending}>
                Save
              </button>
            )}
          </form>
        )}
      </td>
      <td>{user.elsewhere ? "identity provider" : user.totp ? "password and code" : "password"}</td>
      <td>{user.last_login ? <TimeAgo at={user.last_login} /> : <span className="quiet">never</span>}</td>
      <td className="right">
        {!own && (
          <>
            <button
              type="button"
              className="plain"
              disabled={change.isPending}
              onClick={() => change.mutate({ name: user.name, patch: { disabled: !user.disabled } })}
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

function AddUser() {
  const add = useAddUser();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<User["role"]>("user");
  const [tags, setTags] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate(
      { name, password, role, tags: role === "user" ? parseTags(tags) : [] },
      {
        onSuccess: () => {
          setName("");
          setPassword("");
          setTags("");
        },
      },
    );
  };
  const known = ["name", "password", "tags"].some((field) => fieldError(add.error, field));
  return (
    <form className="card narrow-card" onSubmit={submit} aria-labelledby="add-user-title">
      <h2 id="add-user-title">Add a user</h2>
      <Field
        label="Name"
        value={name}
        onChange={(e) => setName(e.target.value)}
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        required
        maxLength={64}
        wrong={fieldError(add.error, "name")}
      />
      <Field
        label="Password"
        type="password"
        value={password}
        onChange={(e) => setPassword(e.target.value)}
        autoComplete="new-password"
        required
        minLength={12}
        hint="At least 12 characters. They can change it on their own page."
        wrong={fieldError(add.error, "password")}
      />
      <fieldset className="choices">
        <legend>Role</legend>
        <label>
          <input type="radio" name="role" checked={role === "user"} onChange={() => setRole("user")} /> User: reads
          machines by tag
        </label>
        <label>
          <input type="radio" name="role" checked={role === "admin"} onChange={() => setRole("admin")} /> Administrator:
          defaultView
        </label>
      </fieldset>
      {role === "user" && (
        <Field
          label="Tags"
          value={tags}
          onChange={(e) => setTags(e.target.value)}
          hint="Of the machines that they see, separated by commas; * is all."
          wrong={fieldError(add.error, "tags")}
        />
      )}
      {add.error && !known && (
        <p className="wrong" role="alert">
          {add.error.message}
        </p>
      )}
      <button type="submit" disabled={add.isPending}>
        Add
      </button>{" "}
      {add.isSuccess && <span role="status">Added {add.data.name}.</span>}
    </form>
  );
}
