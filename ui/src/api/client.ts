// The typed client of the REST API. Types come from the OpenAPI document; the
// rest of the UI takes them from here.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Machine = Schemas["MachineView"];
export type MachineMetrics = Schemas["MachineSnapshot"];
export type SnapshotView = Schemas["SnapshotView"];
export type Process = Schemas["Process"];
export type ProcessSample = Schemas["ProcessSample"];
export type ProcessKey = Schemas["ProcessKey"];
export type MachineChart = Schemas["MachineChart"];
export type ProcessPoint = Schemas["ProcessPointView"];
export type Usage = Schemas["UsageView"];
export type ProcessMatch = Schemas["ProcessMatchView"];
export type Preferences = Schemas["Preferences"];
export type Retention = Schemas["Retention"];
export type ConfigPatch = Schemas["ConfigPatch"];
export type LiveMessage = Schemas["LiveMessage"];
export type LiveContent = Schemas["LiveContent"];
export type LiveRequest = Schemas["LiveRequest"];
export type CurrentUser = Schemas["CurrentUserView"];
export type User = Schemas["UserView"];
export type NewUser = Schemas["NewUser"];
export type UserPatch = Schemas["UserPatch"];
export type NewKey = Schemas["NewEnrolmentKey"];
export type NewToken = Schemas["NewToken"];
export type Problem = Schemas["Problem"];

export const client = createClient<paths>({ baseUrl: window.location.origin });

/** An error answer of the API, with what a person should read. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
  ) {
    super(problem.detail ?? `The server answered ${status}.`);
  }
}

/** Throws an answer's problem, if it is one. */
export function check(answer: { error?: unknown; response: Response }): void {
  if (!answer.response.ok) throw new ApiError(answer.response.status, answer.error ?? {});
}

/** What is wrong with a field, as a sentence; undefined if the error is about something else. */
export function fieldError(error: unknown, field: string): string | undefined {
  if (!(error instanceof ApiError) || error.problem.field !== field) return undefined;
  const message = error.problem.errors?.find((fault) => fault.field === field)?.message ?? error.message;
  return `This ${message}.`;
}

/** Returns the data of an answer, or throws its problem. */
export function unwrap<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) {
    throw new ApiError(answer.response.status, answer.error ?? {});
  }
  return answer.data;
}
