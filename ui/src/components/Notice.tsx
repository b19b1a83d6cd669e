import type { ReactNode } from "react";

/** A message about the state of the page, such as an empty list or an error. */
export function Notice({
  title,
  kind = "info",
  children,
}: {
  title: string;
  kind?: "info" | "error";
  children?: ReactNode;
}) {
  return (
    <div className={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
      <strong>{title}</strong>
      {children && <div>{children}</div>}
    </div>
  );
}
