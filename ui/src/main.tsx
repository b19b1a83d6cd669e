import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { currentUserQuery } from "./api/account";
import { router } from "./router";
import "./style.css";

// The server may be on this very machine: that the browser sees no network says
// nothing about whether it can be reached.
const queries: QueryClient = new QueryClient({
  // A session that has ended shows with any question: look who is logged in.
  queryCache: new QueryCache({
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401)
        void queries.invalidateQueries({ queryKey: currentUserQuery.queryKey, exact: true });
    },
  }),
  defaultOptions: { queries: { networkMode: "always" }, mutations: { networkMode: "always" } },
});
const place = document.getElementById("root");
if (!place) throw new Error("index.html has no #root");
createRoot(place).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
