// Anomaly rules over all sessions: each live session has what every rule remembers of it, and nothing is left of it when
// it has ended but what it adds to the usual of its workflow.
import type { Key } from '../../scenarios/base/key.ts';
import type { AnomalyRule } from '../../scenarios/formats/rules.ts';
import type { Expected, SeenCall, SessionWatch } from './anomaly.ts';
import { anomalyDetectors } from './index.ts';
import { Usual } from './usual.ts';

export type { Expected, SeenCall } from './anomaly.ts';

/** A rule that fired, and when, ms of the run. */
export interface Flag {
  readonly rule: string;
  readonly atMs: number;
}

interface Watched {
  readonly workflow: string;
  /** Known beforehand; null: learnt. */
  readonly given: Expected | null;
  readonly rules: readonly { readonly name: string; readonly watch: SessionWatch; hasFired: boolean }[];
  readonly flagged: Flag[];
  tokens: number;
  calls: number;
}

export class AnomalyWatch {
  private readonly rule: AnomalyRule;
  private readonly given: (workflow: string) => Expected | null;
  private readonly usual = new Usual();
  private readonly sessions = new Map<string, Watched>();

  /** `expected`: what a session of a workflow uses as far as is known beforehand; where it is null, it is learnt. */
  constructor(rule: AnomalyRule, expected: (workflow: string) => Expected | null) {
    this.rule = rule;
    this.given = expected;
  }

  sessionStarted(session: string, workflow: string): void {
    const rules = anomalyDetectors.flatMap(({ name, watch: open }) => {
      const watch = open(this.rule);
      return watch === null ? [] : [{ name, watch, hasFired: false }];
    });
    const given = this.given(workflow);
    this.sessions.set(session, { workflow, given, rules, flagged: [], tokens: 0, calls: 0 });
  }

  /** A call arrives. The rule that fires, the first of them in the order of the registry; null: none. */
  call(seen: SeenCall, nowMs: number): string | null {
    const watched = this.sessions.get(seen.session);
    if (watched === undefined) return null;
    watched.calls++;
    const expected = this.expectedOf(watched);
    let first: string | null = null;
    for (const rule of watched.rules)
      if (!rule.hasFired && rule.watch.call?.(seen, expected) === true) {
        note(watched, rule, nowMs);
        first ??= rule.name;
      }
    return first;
  }

  /** A tool is about to run. */
  tool(session: string, step: string, argsKey: Key | null, nowMs: number): string | null {
    const watched = this.sessions.get(session);
    if (watched === undefined) return null;
    let first: string | null = null;
    for (const rule of watched.rules)
      if (!rule.hasFired && rule.watch.tool?.(step, argsKey) === true) {
        note(watched, rule, nowMs);
        first ??= rule.name;
      }
    return first;
  }

  /** A call has ended and used so many tokens, prompt and output. */
  ended(session: string, tokens: number, nowMs: number): string | null {
    const watched = this.sessions.get(session);
    if (watched === undefined) return null;
    watched.tokens += tokens;
    const expected = this.expectedOf(watched);
    let first: string | null = null;
    for (const rule of watched.rules)
      if (!rule.hasFired && rule.watch.ended?.(watched.tokens, expected) === true) {
        note(watched, rule, nowMs);
        first ??= rule.name;
      }
    return first;
  }

  /** What was seen of a session, which is then forgotten; null where it was never seen. */
  sessionEnded(session: string): { readonly flagged: readonly Flag[]; readonly tokens: number } | null {
    const watched = this.sessions.get(session);
    if (watched === undefined) return null;
    this.sessions.delete(session);
    const { workflow, flagged, tokens, calls } = watched;
    this.usual.ended(workflow, tokens, calls);
    return { flagged, tokens };
  }

  private expectedOf({ given, workflow }: Watched): Expected | null {
    return given ?? this.usual.of(workflow);
  }
}

function note({ flagged }: Watched, rule: Watched['rules'][number], atMs: number): void {
  rule.hasFired = true;
  flagged.push({ rule: rule.name, atMs });
}
