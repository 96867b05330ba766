// What the study of outages reads off a run: its agents by when they started, what the GPU at home was asked, waste, USD.
import { quantile } from '../../scenarios/base/statistics.ts';
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import { makespanMs, type WorkflowRecord } from '../../scenarios/formats/record.ts';
import type { Measure } from '../grid/case.ts';
import { mostAtOnce } from '../grid/figures.ts';

/** When the API of studies/outage.yaml is in trouble, ms. */
export const TROUBLE_MS = { from: 120_000, to: 420_000 } as const;
/** The `slo` of its agents, ms. */
export const SLO_MS = 60_000;
export const BIN_MS = 30_000;
/** A stretch in which so many agents are good is as before. */
const USUAL_RATIO = 0.9;
const HOME = 'home';

export interface OutageMeasured {
  /** Of agents that started in each stretch of `BIN_MS`: how many completed within their SLO; null where none started. */
  readonly goodRatios: readonly (number | null)[];
  /** Of agents that started in the trouble. */
  readonly goodRatio: number;
  readonly completedRatio: number;
  /** Of those that completed; null: none did. */
  readonly makespanMsP95: number | null;
  /** From the end of the trouble until agents that start are as good as before; null: not within the run. */
  readonly recoverMs: number | null;
  /** Tokens that were paid for in vain, by the ledger, over all tokens. */
  readonly wasteRatio: number;
  readonly wastedTokens: number;
  readonly usd: number;
  /** Most attempts at once at the GPU at home, and p95 of the time to their first token; null: it was never asked. */
  readonly homeMost: number;
  readonly homeTtftMsP95: number | null;
  /** Attempts over calls. */
  readonly attemptsPerCall: number;
  readonly breakerOpens: number;
}

const isGood = (agent: WorkflowRecord): boolean => (makespanMs(agent) ?? Number.POSITIVE_INFINITY) <= SLO_MS;

const ratioOf = (agents: readonly WorkflowRecord[], is: (agent: WorkflowRecord) => boolean): number =>
  agents.filter(is).length / Math.max(1, agents.length);

const measure: Measure<OutageMeasured> = ({ workflows, calls, governed, ledger }) => {
  const agents = workflows.filter(({ workflow }) => workflow === 'agent');
  const inTrouble = agents.filter(
    ({ plannedMs }) => plannedMs >= TROUBLE_MS.from && plannedMs < TROUBLE_MS.to,
  );
  const bins = 1 + Math.floor(Math.max(0, ...agents.map(({ plannedMs }) => plannedMs)) / BIN_MS);
  const goodRatios = Array.from({ length: bins }, (_, bin) => {
    const own = agents.filter(({ plannedMs }) => Math.floor(plannedMs / BIN_MS) === bin);
    return own.length === 0 ? null : ratioOf(own, isGood);
  });
  const makespans = inTrouble.flatMap(agent => makespanMs(agent) ?? []);
  const attempts = (governed?.attempts ?? []).filter(({ workflow }) => workflow === 'agent');
  const atHome = attempts.filter(({ target, sentMs }) => target === HOME && sentMs !== null);
  const firstTokens = atHome.flatMap(({ firstTokenMs, sentMs }) =>
    firstTokenMs === null ? [] : firstTokenMs - sentMs!,
  );
  // A refusal used nothing.
  const served = attempts.filter(({ firstTokenMs }) => firstTokenMs !== null);
  const tokens = served.reduce((sum, each) => sum + each.promptTokens + each.outputTokens, 0);
  const wastedTokens = ledger.waste.reduce((sum, each) => sum + each.tokens, 0);
  return {
    goodRatios,
    goodRatio: ratioOf(inTrouble, isGood),
    completedRatio: ratioOf(inTrouble, ({ status }) => status === 'completed'),
    makespanMsP95: makespans.length === 0 ? null : quantile(makespans, 0.95),
    recoverMs: recoverMs(goodRatios),
    wastedTokens,
    wasteRatio: wastedTokens / Math.max(1, tokens),
    usd: ledger.totalNanos / NANOS_PER_USD,
    homeMost: mostAtOnce(
      atHome.map(({ sentMs }) => sentMs!),
      atHome.map(({ endMs }) => endMs ?? Number.POSITIVE_INFINITY),
    ).most,
    homeTtftMsP95: firstTokens.length === 0 ? null : quantile(firstTokens, 0.95),
    attemptsPerCall:
      attempts.length / Math.max(1, calls.filter(({ workflow }) => workflow === 'agent').length),
    breakerOpens: (governed?.decisions ?? []).filter(
      ({ policy, decision }) => policy === 'breaker' && decision === 'opened',
    ).length,
  };
};
export default measure;

/** After the last stretch in which agents were not as good as before. */
function recoverMs(goodRatios: readonly (number | null)[]): number | null {
  const last = goodRatios.findLastIndex(
    (ratio, bin) => ratio !== null && ratio < USUAL_RATIO && bin * BIN_MS >= TROUBLE_MS.from,
  );
  if (last === goodRatios.length - 1 && last >= 0) return null;
  return Math.max(0, (last + 1) * BIN_MS - TROUBLE_MS.to);
}
