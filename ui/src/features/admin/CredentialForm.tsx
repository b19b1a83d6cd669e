import { type ReactNode, type SyntheticEvent, useState } from "react";
import { fieldError } from "../../api/client";
import { Field } from "../../components/Field";
import { FormError } from "../../components/FormError";
import { SecretNotice } from "../../components/SecretNotice";
import { parseTags } from "../../parseLists";

/** The values that enrolment keys and API tokens have in common. */
interface CredentialValues {
  name: string;
  tags: string[];
  /** Absent if the credential never expires. */
  expires_at?: string;
}

interface CredentialFormProps<T> {
  title: string;
  description?: string;
  button: string;
  namePlaceholder: string;
  tags: { initial: string; hint: string; hidden?: boolean };
  lifetime: { label: string; initial: string; min: string; unitMs: number };
  create: {
    mutate: (values: CredentialValues) => void;
    reset: () => void;
    data: T | undefined;
    error: Error | null;
    isPending: boolean;
  };
  /** Returns the text to show once after the credential was created, and an explanation. */
  secret: (created: T) => { text: string; note: string };
  /** The fields of children, which show their own errors. */
  fields?: readonly string[];
  /** Inputs beside those for the name, the lifetime and the tags. */
  children?: ReactNode;
  /** Inputs below. */
  options?: ReactNode;
}

/** Creates an enrolment key or an API token, then shows its secret once. */
export function CredentialForm<T>(props: CredentialFormProps<T>) {
  const { title, description, tags, lifetime, create, fields = [], children, options } = props;
  const [name, setName] = useState("");
  const [tagText, setTagText] = useState(tags.initial);
  const [amount, setAmount] = useState(lifetime.initial);
  if (create.data) {
    const { text, note } = props.secret(create.data);
    return (
      <SecretNotice text={text} onDone={create.reset}>
        {note}
      </SecretNotice>
    );
  }
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const expires = new Date(Date.now() + Number(amount) * lifetime.unitMs);
    create.mutate({ name, tags: parseTags(tagText), ...(amount && { expires_at: expires.toISOString() }) });
  };
  return (
    <form className="card" onSubmit={submit} aria-labelledby="credential-title">
      <h2 id="credential-title">{title}</h2>
      {description && <p>{description}</p>}
      <div className="columns">
        <Field
          label="Name"
          value={name}
          onChange={(e) => setName(e.target.value)}
          required
          maxLength={64}
          placeholder={props.namePlaceholder}
          error={fieldError(create.error, "name")}
        />
        {children}
        <Field
          label={lifetime.label}
          type="number"
          min={lifetime.min}
          step="any"
          value={amount}
          onChange={(e) => setAmount(e.target.value)}
          hint="Leave empty for no expiry."
          error={fieldError(create.error, "expires_at")}
        />
        {!tags.hidden && (
          <Field
            label="Tags"
            value={tagText}
            onChange={(e) => setTagText(e.target.value)}
            hint={tags.hint}
            error={fieldError(create.error, "tags")}
          />
        )}
      </div>
      {options}
      <FormError error={create.error} fields={["name", "tags", "expires_at", ...fields]} />
      <button type="submit" disabled={create.isPending}>
        {props.button}
      </button>
    </form>
  );
}
