import { useNavigate, useRouterState } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";
import type { FindSearch } from "./search";

/** Searches processes on all machines. Shown on every page. */
export function SearchBox() {
  // A new search keeps the filter of the one before.
  const current = useRouterState({
    select: ({ location }) => (location.pathname === "/find" ? (location.search as FindSearch) : undefined),
  });
  const query = current?.q ?? "";
  const [text, setText] = useState(query);
  const [lastQuery, setLastQuery] = useState(query);
  const navigate = useNavigate();
  if (query !== lastQuery) {
    setLastQuery(query);
    setText(query);
  }
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (text.trim()) void navigate({ to: "/find", search: { q: text.trim(), exit: current?.exit } });
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
