import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { currentUserQuery } from "./api/account";
import { ApiError, shouldRetry } from "./api/client";
import { router } from "./router";
import "./style.css";

const queries: QueryClient = new QueryClient({
  // Any request can show that the session has ended. Loading the current user then leads to the sign-in page.
  queryCache: new QueryCache({
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401) {
        void queries.invalidateQueries({ queryKey: currentUserQuery.queryKey, exact: true });
      }
    },
  }),
  // The server may run on this machine, so it can be reachable while the browser is offline.
  defaultOptions: { queries: { networkMode: "always", retry: shouldRetry }, mutations: { networkMode: "always" } },
});
const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
