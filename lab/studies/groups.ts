// What the sessions of a run got and cost, group by group: tenants side by side, or sessions that run away beside the
// others. Read off the records and books of a whole run.
import { wasteOf } from '../../gateway/ledger/spent.ts';
import { quantileSorted, sorted } from '../../scenarios/base/statistics.ts';
import { type Ledger, NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import { makespanMs, type WorkflowRecord } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';

/** Of the sessions of one group. */
export interface GroupFigures {
  sessions: number;
  completed: number;
  /** Of the completed ones, those of which only final steps ran from some time on. */
  finalized: number;
  /** Those that ended otherwise, after something of theirs was answered. */
  broken: number;
  /** Answered attempts. */
  answers: number;
  /** Times that a limit refused a call. */
  refusals: number;
  /** Prompt and output tokens of all attempts. */
  tokens: number;
  /** Of these, of attempts in vain and of sessions that did not complete. */
  wastedTokens: number;
  /** Most tokens of one session. */
  tokensMost: number;
  usd: number;
  wastedUsd: number;
  makespanMsP50: number | null;
  makespanMsP95: number | null;
}

/** Groups are named by `nameOf`; a session that ran never is counted nowhere. */
export function groupsOf(
  { workflows, governed, ledger }: RunOutput & { readonly ledger: Ledger },
  nameOf: (session: WorkflowRecord) => string,
): Record<string, GroupFigures> {
  const sessions = new Map(workflows.map(record => [record.session, { record, tokens: 0, answers: 0 }]));
  const groups: Record<string, GroupFigures> = {};
  const groupOf = (record: WorkflowRecord): GroupFigures => (groups[nameOf(record)] ??= nothing());
  const { attempts = [], decisions = [] } = governed ?? {};
  for (const [i, attempt] of attempts.entries()) {
    const session = sessions.get(attempt.session);
    if (session === undefined) continue;
    const group = groupOf(session.record);
    // A refusal used nothing.
    const tokens = attempt.firstTokenMs === null ? 0 : attempt.promptTokens + attempt.outputTokens;
    const usd = ledger.attemptNanos[i]! / NANOS_PER_USD;
    const isWaste = wasteOf(attempt, session.record.status) !== null;
    session.tokens += tokens;
    if (attempt.outcome === 'ok') session.answers += 1;
    group.tokens += tokens;
    group.usd += usd;
    if (isWaste) group.wastedTokens += tokens;
    if (isWaste) group.wastedUsd += usd;
  }
  for (const { session, policy, decision } of decisions) {
    const record = policy === 'limit' && decision === 'refused' ? sessions.get(session)?.record : undefined;
    if (record !== undefined) groupOf(record).refusals += 1;
  }
  const makespans = new Map<string, number[]>();
  for (const { record, tokens, answers } of sessions.values()) {
    const group = groupOf(record);
    const tookMs = makespanMs(record);
    group.sessions += 1;
    group.answers += answers;
    group.tokensMost = Math.max(group.tokensMost, tokens);
    if (tookMs === null) group.broken += answers > 0 ? 1 : 0;
    else {
      group.completed += 1;
      group.finalized += record.isFinalized ? 1 : 0;
      const name = nameOf(record);
      makespans.set(name, [...(makespans.get(name) ?? []), tookMs]);
    }
  }
  for (const [name, all] of makespans) {
    const ordered = sorted(all);
    groups[name]!.makespanMsP50 = quantileSorted(ordered, 0.5);
    groups[name]!.makespanMsP95 = quantileSorted(ordered, 0.95);
  }
  return groups;
}

const nothing = (): GroupFigures => ({
  sessions: 0,
  completed: 0,
  finalized: 0,
  broken: 0,
  answers: 0,
  refusals: 0,
  tokens: 0,
  wastedTokens: 0,
  tokensMost: 0,
  usd: 0,
  wastedUsd: 0,
  makespanMsP50: null,
  makespanMsP95: null,
});
