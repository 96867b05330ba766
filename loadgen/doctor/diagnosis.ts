// What the doctor found: a list of findings, and the endpoint to write into a deployment.
import type { ServerKind, WireApi, WireField } from '../../scenarios/formats/wire.ts';

/**
 * `found`: it is as a replay wants it; `missing`: it is not, and `costs` says what that costs; `fatal`: nothing can be
 * replayed against this; `unknown`: the server does not show it.
 */
export type FindingState = 'found' | 'missing' | 'fatal' | 'unknown';

export interface Finding {
  name: string;
  state: FindingState;
  /** What is there, or is not. */
  says: string;
  /** Of what is missing: what a replay lacks without it. */
  costs?: string;
  /** What to write in the deployment, start the server with, or pass. */
  write?: string;
}

/** What goes into `endpoints:`. */
export interface FoundEndpoint {
  url: string;
  model: string;
  keyEnv: string | null;
  api: WireApi;
  /** Null: not known; the file says nothing then. */
  server: ServerKind | null;
  /** Null: those of its server. */
  takes: readonly WireField[] | null;
}

export interface Diagnosis {
  /** As given. */
  asked: string;
  findings: Finding[];
  /** Null: nothing can be replayed against it. */
  endpoint: FoundEndpoint | null;
  /** Of the model, in tokens; null: not shown. */
  contextTokens: number | null;
  /** 0 fine, 1 unreachable, 99 not to be replayed against. */
  exitCode: number;
}
