interface LoadMoreProps {
  query: { hasNextPage: boolean; isFetching: boolean; fetchNextPage: () => Promise<unknown> };
}

/** A button that loads the next page of a list, if there is one. */
export function LoadMore({ query }: LoadMoreProps) {
  return query.hasNextPage ? (
    <p>
      <button type="button" disabled={query.isFetching} onClick={() => void query.fetchNextPage()}>
        Load more
      </button>
    </p>
  ) : null;
}
