import { useNavigate, useRouterState } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";

/** The search over the fleet and time, on every page. */
export function SearchBox() {
  const asked =
    useRouterState({
      select: ({ location }) => (location.pathname === "/find" ? (location.search as { q?: string }).q : undefined),
    }) ?? "";
  const [text, setText] = useState(asked);
  const navigate = useNavigate();
  useEffect(() => setText(asked), [asked]);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim()) void navigate({ to: "/find", search: { q: text.trim() } });
  };
  return (
    <form role="search" className="find" onSubmit={submit}>
      <input
        type="search"
        aria-label="Find processes"
        placeholder="Find: postgres yesterday at 3"
        value={text}
        onChange={(e) => setText(e.target.value)}
      />
    </form>
  );
}
