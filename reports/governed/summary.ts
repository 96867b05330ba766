// What a gateway made of the calls of a run: attempts, decisions, ends before their time, tools, anomalies. Bounded in
// size, whatever the length of the run.
import { quantile } from '../../scenarios/base/statistics.ts';
import { scoreAnomalies } from '../../scenarios/formats/anomaly-score.ts';
import type { AttemptKind, DecisionRecord, GovernedRecords } from '../../scenarios/formats/record.ts';
import type { GovernedSummary } from '../../scenarios/formats/result.ts';
import { type Reason, reasonOf } from '../../scenarios/formats/rules.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { troubledSession } from './troubled.ts';

const DECISIONS_MAX = 60;

/** Refusals of our own; the server heard nothing of the call. */
const OUR_REASONS: readonly Reason[] = ['budget', 'breaker_open', 'shed', 'denied'];

/** null: no gateway governed the run. */
export function governedOf(output: RunOutput): GovernedSummary | null {
  const { governed, calls, ledger } = output;
  if (governed === undefined) return null;
  const { attempts, cancels, anomalies, decisions } = governed;
  const refused = calls.flatMap(({ error }) =>
    error !== null && (error === 'rate_limited' || OUR_REASONS.includes(reasonOf(error))) ? [error] : [],
  );
  const cleanMs = cancels.map(cancel => cancel.cleanMs - cancel.atMs);
  return {
    attempts: attempts.length,
    byKind: byKind(governed),
    failuresByReason: counts(
      attempts.flatMap(({ outcome, reason }) => (outcome === 'error' ? (reason ?? 'other') : [])),
    ),
    retriesByReason: counts(
      attempts.flatMap(({ kind, because }) => (kind === 'retry' ? (because ?? 'other') : [])),
    ),
    hedgesWon: attempts.filter(
      ({ kind, outcome, waste }) => kind === 'hedge' && outcome === 'ok' && waste === null,
    ).length,
    decisions: topDecisions(decisions),
    breakerOpenings: decisions.filter(isOpening).length,
    refusedByCode: counts(refused),
    cancels: {
      sessions: cancels.length,
      byReason: counts(cancels.map(({ reason }) => reason)),
      cleanMsP50: cleanMs.length === 0 ? null : quantile(cleanMs, 0.5),
      cleanMsP95: cleanMs.length === 0 ? null : quantile(cleanMs, 0.95),
      tokensAfter: cancels.reduce((sum, { tokensAfter }) => sum + tokensAfter, 0),
      gpuSecondsAfter: ledger?.waste.find(({ reason }) => reason === 'after_cancel')?.gpuSeconds ?? 0,
    },
    tools: toolsOf(governed),
    anomalies: anomalies.some(({ injected, flagged }) => injected !== null || flagged.length > 0)
      ? scoreAnomalies(anomalies)
      : null,
    troubled: troubledSession(output),
  };
}

const isOpening = ({ policy, decision }: DecisionRecord): boolean =>
  policy === 'breaker' && (decision === 'opened' || decision === 'ejected');

function byKind({ attempts }: GovernedRecords): Record<AttemptKind, number> {
  const kinds = { first: 0, retry: 0, hedge: 0, fallback: 0, escalation: 0, repeat: 0 };
  for (const { kind } of attempts) kinds[kind] += 1;
  return kinds;
}

/** In order of name. */
function counts<Name extends string>(names: readonly Name[]): Record<Name, number> {
  const sums = new Map<Name, number>();
  for (const name of names) sums.set(name, (sums.get(name) ?? 0) + 1);
  return Object.fromEntries([...sums].sort(([a], [b]) => (a < b ? -1 : 1))) as Record<Name, number>;
}

function topDecisions(decisions: readonly DecisionRecord[]): GovernedSummary['decisions'] {
  const rows = new Map<string, GovernedSummary['decisions'][number]>();
  for (const { policy, decision, why } of decisions) {
    const key = `${policy} ${decision} ${why}`;
    const row = rows.get(key);
    if (row === undefined) rows.set(key, { policy, decision, why, count: 1 });
    else row.count += 1;
  }
  return [...rows]
    .sort(([a, one], [b, other]) => other.count - one.count || (a < b ? -1 : 1))
    .slice(0, DECISIONS_MAX)
    .map(([, row]) => row);
}

function toolsOf({ tools }: GovernedRecords): GovernedSummary['tools'] {
  const started = tools.filter(({ startMs, runtime }) => startMs !== null && runtime !== null);
  return {
    runs: tools.length,
    failed: tools.filter(({ outcome }) => outcome === 'error').length,
    coldRatio: started.length === 0 ? null : started.filter(({ isCold }) => isCold).length / started.length,
    queueMsP95:
      started.length === 0
        ? null
        : quantile(
            started.map(({ queueMs }) => queueMs),
            0.95,
          ),
    doubledSideEffects: tools.filter(({ isDoubled }) => isDoubled).length,
  };
}
