// What an exported script knows beside its sessions: where calls go, how they are tried again, and what is judged. It
// stands in the script as JSON. Types only, so that the script needs none of it.
import type { RuleRow, Salt } from './session.ts';

export interface TargetRow {
  /** Pool or model of a provider, and which of its endpoints. */
  readonly pool: string;
  readonly replica: string | null;
  /** Of the endpoint's path. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Further ones, by the names of the environment variables that hold their values. */
  readonly headersEnv: Readonly<Record<string, string>>;
  /** Environment variable of the key, and the headers that take it where {KEY} stands; null: none. */
  readonly key: { readonly env: string; readonly headers: Readonly<Record<string, string>> } | null;
  readonly api: 'chat' | 'completions' | 'tokens';
  /** Fields of the body that are the same for all calls, and those that say how long an answer is. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly lengthFields: readonly string[];
  readonly takesReasoning: boolean;
  /** Headers that name the session. */
  readonly sessionHeaders: readonly string[];
}

export interface Filter {
  readonly workflow?: string;
  readonly cohort?: string;
  readonly role?: string;
  readonly step?: string;
  readonly model?: string;
}

/** An SLO: the share of calls or sessions that end well within a time. */
export interface SloRow {
  readonly name: string;
  readonly of: 'calls' | 'sessions';
  readonly filter: Filter;
  /** From the planned time; null: no limit. */
  readonly e2eMs: number | null;
  readonly ttftMs: number | null;
}

export interface Settings {
  readonly targets: readonly TargetRow[];
  readonly rules: readonly RuleRow[];
  /** Error codes whose share of the calls is judged. */
  readonly codes: readonly string[];
  readonly slos: readonly SloRow[];
  /** k6 scenario to cohort. */
  readonly cohorts: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** From k6's start to that of the plan: in it the first prompts are spelled. */
  readonly leadMs: number;
  readonly salt: Salt;
  readonly vocabTokens: number;
}
