import { type SyntheticEvent, useState } from "react";
import { useAddUser } from "../../api/admin";
import { type User, fieldError } from "../../api/client";
import { Field } from "../../components/Field";
import { FormError } from "../../components/FormError";
import { parseTags } from "../../parseLists";

export function AddUserForm() {
  const add = useAddUser();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<User["role"]>("user");
  const [tags, setTags] = useState("");
  const clear = () => {
    setName("");
    setPassword("");
    setTags("");
  };
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    add.mutate({ name, password, role, tags: role === "user" ? parseTags(tags) : [] }, { onSuccess: clear });
  };
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
        error={fieldError(add.error, "name")}
      />
      <Field
        label="Password"
        type="password"
        value={password}
        onChange={(e) => setPassword(e.target.value)}
        autoComplete="new-password"
        required
        minLength={12}
        hint="At least 12 characters, and not a common password. The user can change it on the account page."
        error={fieldError(add.error, "password")}
      />
      <fieldset className="choices">
        <legend>Role</legend>
        <label>
          <input type="radio" name="role" checked={role === "user"} onChange={() => setRole("user")} /> User: can view
          machines with the granted tags
        </label>
        <label>
          <input type="radio" name="role" checked={role === "admin"} onChange={() => setRole("admin")} /> Administrator:
          full access
        </label>
      </fieldset>
      {role === "user" && (
        <Field
          label="Tags"
          value={tags}
          onChange={(e) => setTags(e.target.value)}
          hint="Machines with one of these tags, separated by commas; * for all machines."
          error={fieldError(add.error, "tags")}
        />
      )}
      <FormError error={add.error} fields={["name", "password", "tags"]} />
      <button type="submit" disabled={add.isPending}>
        Add user
      </button>{" "}
      {add.isSuccess && <span role="status">Added {add.data.name}.</span>}
    </form>
  );
}
