import { fieldError } from "../api/client";

/** Shows the error of a form, unless it is about one of these fields, which show their own errors. */
export function FormError({ error, fields }: { error: Error | null; fields: readonly string[] }) {
  if (!error || fields.some((field) => fieldError(error, field))) return null;
  return (
    <p className="wrong" role="alert">
      {error.message}
    </p>
  );
}
