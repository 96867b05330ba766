// What became of the tasks of a run of the study hybrid, by tenant: answered well or not, where, how soon, for how much.
import { quantileSorted, sorted } from '../../scenarios/base/statistics.ts';
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import type { AttemptRecord } from '../../scenarios/formats/record.ts';
import { makespanMs } from '../../scenarios/formats/record.ts';
import type { Measure } from '../grid/case.ts';

export const HOME = 'local';
export const AWAY = 'frontier';
/** Steps that answer, and the chance that an answer is good enough, by where it is given. All of it is assumed. */
export const QUALITY = {
  easy: { [HOME]: 0.97, [AWAY]: 0.98 },
  hard: { [HOME]: 0.5, [AWAY]: 0.9 },
} as const;
type Kind = keyof typeof QUALITY;

export interface Tasks {
  readonly tasks: number;
  /** Answered and good enough; an answer that nobody looked at counts as its chance. */
  readonly good: number;
  readonly easy: number;
  readonly hard: number;
  /** Misroutes: easy ones that went to the API first, hard ones that went to the local model first. */
  readonly easyAway: number;
  readonly hardHome: number;
  readonly escalated: number;
  /** Attempts of any step that left the network. */
  readonly left: number;
  /** Tasks that were not answered, by their error. */
  readonly failed: Readonly<Record<string, number>>;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
}

export interface HybridRun {
  /** All of the run, idle GPUs included. */
  readonly usd: number;
  /** By tenant. */
  readonly tenants: Readonly<Record<string, Tasks>>;
}

const isKind = (step: string): step is Kind => Object.hasOwn(QUALITY, step);

/** How likely it is that the answer is good enough, as far as somebody knows. */
const goodness = ({ isGood, step, target }: AttemptRecord): number => {
  if (isGood !== null) return isGood ? 1 : 0;
  return isKind(step) ? QUALITY[step][target === AWAY ? AWAY : HOME] : 1;
};

const measure: Measure<HybridRun> = ({ governed, workflows, ledger }) => {
  const attempts = governed?.attempts ?? [];
  const names = [...new Set(workflows.map(({ tenant }) => tenant ?? ''))];
  const tasksOf = (name: string): Tasks => {
    const own = workflows.filter(({ tenant }) => (tenant ?? '') === name);
    const sent = attempts.filter(({ tenant }) => (tenant ?? '') === name);
    const completed = new Set(own.flatMap(({ status, session }) => (status === 'completed' ? session : [])));
    const used = sent.filter(each => each.waste === null && isKind(each.step) && completed.has(each.session));
    const first = (kind: Kind) => sent.filter(({ step, attempt }) => step === kind && attempt === 0);
    const failed: Record<string, number> = {};
    for (const { status, error } of own)
      if (status !== 'completed') failed[error ?? status] = (failed[error ?? status] ?? 0) + 1;
    const tookMs = sorted(own.flatMap(each => makespanMs(each) ?? []));
    const at = (q: number): number | null => (tookMs.length === 0 ? null : quantileSorted(tookMs, q));
    return {
      tasks: own.length,
      good: used.reduce((sum, each) => sum + goodness(each), 0),
      easy: first('easy').length,
      hard: first('hard').length,
      easyAway: first('easy').filter(({ target }) => target === AWAY).length,
      hardHome: first('hard').filter(({ target }) => target === HOME).length,
      escalated: sent.filter(({ kind }) => kind === 'escalation').length,
      left: sent.filter(({ target }) => target === AWAY).length,
      failed,
      p50Ms: at(0.5),
      p95Ms: at(0.95),
    };
  };
  return {
    usd: ledger.totalNanos / NANOS_PER_USD,
    tenants: Object.fromEntries(names.map(name => [name, tasksOf(name)])),
  };
};

export default measure;
