// The contract of an export: a plan on a deployment in, files for another tool out, and what that tool will not do.
import type { DeploymentSpec } from '../../engines/engine.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { Plan, PlannedSession } from '../../scenarios/formats/plan.ts';

export interface ExportInput {
  readonly plan: Plan;
  readonly deployment: DeploymentSpec;
  readonly poolOf: (model: string) => string;
  /** The first so many sessions of each cohort; null: all. */
  readonly sessionsMax: number | null;
  readonly options: ExportOptions;
}

/** What can be said of an export; each target reads what it knows. */
export interface ExportOptions {
  /** k6: streams over k6/x/sse instead of k6/http. */
  readonly sse?: boolean;
  /** k6: a TestRun of the k6 operator with so many pods; null: none. */
  readonly testrun?: number | null;
  /** k6: virtual users; null: as many as the sessions need. */
  readonly vus?: number | null;
  /** Longest a call may take, ms. */
  readonly timeoutMs?: number;
  /** Mixed into all content; empty: nothing is; absent: the plan's name and seed. */
  readonly salt?: string;
  /** Vocabulary of token-id prompts. */
  readonly vocabTokens?: number;
}

export interface ExportedFile {
  readonly name: string;
  /** Its text, in pieces. */
  readonly text: Iterable<string>;
}

export interface Exported {
  readonly files: readonly ExportedFile[];
  readonly sessions: number;
  readonly calls: number;
  /** What the target does not do of what the files say, a sentence each. */
  readonly lost: readonly string[];
  /** The command line that runs it. */
  readonly command: string;
}

export interface Exporter {
  readonly name: string;
  readonly doc: string;
  export(input: ExportInput): Exported;
}

/** Sessions that run after each other: one, or those of a closed cohort's agent. */
export interface Chain {
  readonly cohort: string;
  /** Each with its planned start, or the pause after the one before. */
  readonly sessions: readonly { readonly planned: PlannedSession; readonly atMs: number }[];
}

/** Sessions of one agent beyond which a cohort is taken to have no end. */
const ENDLESS = 100_000;

/** The chains of a plan, cohort by cohort, in order of start. */
export function* chainsOf({
  plan,
  sessionsMax,
}: Pick<ExportInput, 'plan' | 'sessionsMax'>): Generator<Chain> {
  const most = sessionsMax ?? Number.POSITIVE_INFINITY;
  for (const cohort of plan.cohorts) {
    if (cohort.kind === 'open') {
      let taken = 0;
      for (const planned of cohort.sessions()) {
        if (taken++ >= most) break;
        yield { cohort: cohort.name, sessions: [{ planned, atMs: planned.plannedMs }] };
      }
      continue;
    }
    const agents = Math.min(cohort.agents, most);
    for (let agent = 0; agent < agents; agent++) {
      // The first so many of all, as evenly as they go.
      const own = Math.ceil((most - agent) / agents);
      const sessions: { planned: PlannedSession; atMs: number }[] = [];
      for (let ordinal = 0; ordinal < own; ordinal++) {
        const planned = cohort.session(agent, ordinal, 0);
        if (planned === null) break;
        const atMs = ordinal === 0 ? planned.plannedMs : cohort.thinkMs(agent, ordinal - 1);
        sessions.push({ planned, atMs });
        if (ordinal === ENDLESS)
          throw new UserError(`cohort "${cohort.name}" is closed and has no number of sessions`, {
            hint: 'give it `sessions:`, or export the first ones with --sessions N',
          });
      }
      if (sessions.length > 0) yield { cohort: cohort.name, sessions };
    }
  }
}
