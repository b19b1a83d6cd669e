import { useNavigate, useRouterState } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

/** Searches processes on all machines. Shown on every page. */
export function SearchBox() {
  const query =
    useRouterState({
      select: ({ location }) => (location.pathname === "/find" ? (location.search as { q?: string }).q : undefined),
    }) ?? "";
  const [text, setText] = useState(query);
  const [lastQuery, setLastQuery] = useState(query);
  const navigate = useNavigate();
  if (query !== lastQuery) {
    setLastQuery(query);
    setText(query);
  }
  const submit = (event: SyntheticEvent) => {
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
