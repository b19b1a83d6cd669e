import type { ReactNode } from "react";

/** Something the viewer should know: an empty list, a failure. */
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
