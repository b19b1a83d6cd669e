// The typed client of the REST API. Its types are generated from the OpenAPI document.
import createClient from "openapi-fetch";
import { serverUrl } from "./basePath";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Machine = Schemas["MachineView"];
export type MachineMetrics = Schemas["MachineSnapshot"];
export type SnapshotView = Schemas["SnapshotAtView"];
export type Process = Schemas["Process"];
export type FoundProcess = Schemas["FoundProcessView"];
export type ProcessSample = Schemas["ProcessSample"];
export type EndedProcesses = Schemas["EndedProcesses"];
export type ProcessKey = Schemas["ProcessKey"];
export type MachineHistory = Schemas["MachineMetrics"];
export type MachineChart = Schemas["MachineChart"];
export type ProcessPoint = Schemas["ProcessPointView"];
export type ProcessHistory = Schemas["ProcessHistory"];
export type MachineDiff = Schemas["MachineDiff"];
export type Usage = Schemas["UsageView"];
export type ProcessMatch = Schemas["ProcessMatchView"];
export type ProcessMatches = Schemas["ProcessMatches"];
export type NearestMatch = Schemas["NearestMatchView"];
export type Preferences = Schemas["Preferences"];
export type Storage = Schemas["StorageView"];
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
export type Token = Schemas["TokenView"];
export type Problem = Schemas["Problem"];

export const client = createClient<paths>({ baseUrl: serverUrl });

/** An error response of the API. The message is shown to the user. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
  ) {
    super(problem.detail ?? `The server responded with status ${status}.`);
  }
}

interface ApiResponse {
  error?: unknown;
  response: Response;
}

const toError = ({ error, response }: ApiResponse) => new ApiError(response.status, error ?? {});

/** Throws an ApiError if the request failed. */
export function throwOnError(answer: ApiResponse): void {
  if (!answer.response.ok) throw toError(answer);
}

/** Reports whether to repeat a failed query. A client error (4xx) does not go away, except the rate limit. */
export function shouldRetry(failures: number, error: Error): boolean {
  const isClientError = error instanceof ApiError && error.status < 500 && error.status !== 429;
  return !isClientError && failures < 3;
}

/** Returns the message about an input field, as a sentence; undefined if the error is not about this field. */
export function fieldError(error: unknown, field: string): string | undefined {
  if (!(error instanceof ApiError) || error.problem.field !== field) return undefined;
  const message = error.problem.errors?.find((one) => one.field === field)?.message ?? error.message;
  return `This ${message}.`;
}

/** Returns the data of a response, or throws an ApiError. */
export function unwrap<T>(answer: ApiResponse & { data?: T }): T {
  if (answer.data === undefined) throw toError(answer);
  return answer.data;
}
