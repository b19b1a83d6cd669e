/** The URL parameters of the sign-in page. */
export interface SignInSearch {
  /** The local path to open after sign-in. */
  then?: string | undefined;
  /** The error code of a failed sign-in through the identity provider. */
  failed?: string | undefined;
}

export function signInSearch({ then, failed }: Record<string, unknown>): SignInSearch {
  return {
    then: typeof then === "string" && /^\/(?![/\\])/.test(then) ? then : undefined,
    failed: typeof failed === "string" && /^[a-z_]{1,40}$/.test(failed) ? failed : undefined,
  };
}
