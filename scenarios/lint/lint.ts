// The contract of a lint: it looks at a scenario that compiles and says what will not do what its author wants. Lints warn;
// they never stop a run.
import type { Code } from '../base/errors.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import type { Plan, PlannedSession } from '../formats/plan.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import type { Workflow } from '../workflows/program.ts';
import type { Call } from '../workflows/progress.ts';

/** A call of a walked session; its content is not kept. */
export interface WalkedCall extends Omit<Call, 'prompt' | 'output' | 'warmTokens'> {
  /** Prompt tokens that an infinite cache of 16-token blocks would hold. */
  readonly cachedTokens: number;
}

/** A session, walked in an ideal world where nothing queues. */
export interface WalkedSession {
  readonly session: PlannedSession;
  readonly calls: readonly WalkedCall[];
  readonly toolCalls: number;
  readonly makespanMs: number;
  /** Most calls in flight at once. */
  readonly widthMax: number;
  /** Calls, and ms of tools, people and waits, along the longest chain. */
  readonly chain: { readonly calls: number; readonly toolMs: number };
}

/** What lints of the language look at. */
export interface LintContext {
  readonly file: ScenarioFile;
  readonly plan: Plan;
  /** Workflows that the traffic reaches, as sub-agents too. */
  readonly workflows: ReadonlyMap<string, Workflow>;
  /** The first sessions of every cohort. */
  readonly walks: readonly WalkedSession[];
}

export interface Lint<Context = LintContext> {
  readonly code: Code;
  /** Only worth saying of the file that the user named, not of what it extends. */
  readonly ownFileOnly?: boolean;
  find(context: Context): Issue[];
}

/** A place, what is there, and what to do about it. */
export interface Finding {
  readonly path: InputPath;
  readonly message: string;
  readonly hint: string;
  /** Point at the key of the last path element. */
  readonly atKey?: boolean;
}

/** A lint whose findings are told once each, however often a sub-agent is called. */
export function defineLint<Context = LintContext>(
  code: Code,
  find: (context: Context) => Iterable<Finding>,
  options: { ownFileOnly?: boolean } = {},
): Lint<Context> {
  return {
    code,
    ...options,
    find(context) {
      const told = new Set<string>();
      const issues: Issue[] = [];
      for (const { path, message, hint, atKey = false } of find(context)) {
        const name = JSON.stringify([path, message]);
        if (told.has(name)) continue;
        told.add(name);
        issues.push(issue(path, code, message, hint, { severity: 'warning', atKey }));
      }
      return issues;
    },
  };
}

// ---- words ----------------------------------------------------------------------------------------------------

/** A count as messages show it: 950, 12.4k, 1.20M. */
export function shortCount(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return String(Number(value.toFixed(value < 10 ? 1 : 0)));
}

/** A duration as messages show it: 350 ms, 1.2 s, 12 min. */
export function shortMs(ms: number): string {
  if (ms < 1000) return `${Number(ms.toFixed(0))} ms`;
  if (ms < 120_000) return `${Number((ms / 1000).toFixed(1))} s`;
  return `${Number((ms / 60_000).toFixed(1))} min`;
}

/** A share as messages show it: 134 %, 27 %, 0.5 %. */
export const percent = (ratio: number, digits = 2): string =>
  `${Number(ratio >= 1 ? (ratio * 100).toFixed(0) : (ratio * 100).toPrecision(digits))} %`;

export const quoted = (names: readonly string[]): string => names.map(name => `"${name}"`).join(', ');

export const plural = (count: number, word: string): string =>
  `${shortCount(count)} ${word}${count === 1 ? '' : 's'}`;
