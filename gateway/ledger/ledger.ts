// The books of a run: what it cost, who caused it, and what of it was in vain. Whole nano-dollars from the first line on,
// so that every breakdown sums to the total.
//
//   spans, busy ─▶ work and idle of replicas ─┐
//   attempts, prices ─▶ bills of providers ───┼─▶ cost of each attempt ─▶ by step, role, workflow…; waste by reason
//   tool runs, classifier ────────────────────┘
import { UserError } from '../../scenarios/base/errors.ts';
import {
  COST_DIMENSIONS,
  type CostBasis,
  type CostComponent,
  type CostDimension,
  type Ledger,
  NANOS_PER_USD,
} from '../../scenarios/formats/ledger.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { Breakdown, Wastes } from './breakdown.ts';
import { replicaCosts } from './replica-cost.ts';
import {
  billOf,
  prefillNs,
  type Spent,
  targetOf,
  tokensAfter,
  tokensOf,
  wasteOf,
  workNs,
  workNsAfter,
} from './spent.ts';
import { splitWhole } from './split.ts';

/** What of a run the ledger reads. */
export type LedgerInput = Pick<
  RunOutput,
  'calls' | 'workflows' | 'replicas' | 'busy' | 'governed' | 'durationMs'
>;

/** What each attempt cost; `after`: of it, after it was given up. */
interface Costs {
  readonly nanos: Float64Array;
  readonly afterNanos: Float64Array;
  readonly gpuSeconds: Float64Array;
  readonly afterGpuSeconds: Float64Array;
}

export function ledgerOf(run: LedgerInput, basis: CostBasis): Ledger {
  const spent: readonly Spent[] = run.governed?.attempts ?? run.calls;
  const tools = run.governed?.tools ?? [];
  const components = noComponents();
  const costs: Costs = {
    nanos: new Float64Array(spent.length),
    afterNanos: new Float64Array(spent.length),
    gpuSeconds: new Float64Array(spent.length),
    afterGpuSeconds: new Float64Array(spent.length),
  };

  // 1. Replicas, providers, tools, looks of the classifier.
  const gpu = addReplicas(run, spent, basis, components, costs);
  addBills(spent, basis, components, costs);
  const toolNanos = Float64Array.from(tools, ({ usd }) => Math.round(usd * NANOS_PER_USD));
  components.tools = toolNanos.reduce((sum, nanos) => sum + nanos, 0);
  components.tools_idle = Math.round((run.governed?.idleToolsUsd ?? 0) * NANOS_PER_USD);
  components.classifier = Math.round((run.governed?.classifierUsd ?? 0) * NANOS_PER_USD);
  const totalNanos = Object.values(components).reduce((sum, nanos) => sum + nanos, 0);
  if (!(totalNanos <= Number.MAX_SAFE_INTEGER)) throw beyondBooks();

  // 2. Who caused it, and what was in vain.
  const sessions = new Map(run.workflows.map(record => [record.session, record]));
  const severalWorkflows = new Set(run.workflows.map(({ workflow }) => workflow)).size > 1;
  const breakdown = new Breakdown(severalWorkflows);
  const wastes = new Wastes();
  for (const [i, each] of spent.entries()) {
    const session = sessions.get(each.session);
    const reason = wasteOf(each, session?.status);
    const nanos = costs.nanos[i]!;
    const after = costs.afterNanos[i]!;
    const user = 'user' in each ? each.user : (session?.user ?? null);
    breakdown.add(each, user, targetOf(each), nanos, reason === null ? after : nanos);
    const lateTokens = tokensAfter(each);
    if (lateTokens > 0) wastes.add('after_cancel', after, lateTokens, costs.afterGpuSeconds[i]!);
    if (reason !== null)
      wastes.add(
        reason,
        nanos - after,
        Math.max(0, tokensOf(each) - lateTokens),
        costs.gpuSeconds[i]! - costs.afterGpuSeconds[i]!,
      );
  }
  for (const [i, tool] of tools.entries()) {
    const status = sessions.get(tool.session)?.status;
    const reason = tool.waste ?? (status === 'failed' || status === 'cancelled' ? 'session_failed' : null);
    const nanos = toolNanos[i]!;
    breakdown.add({ ...tool, role: null }, tool.user, tool.runtime, nanos, reason === null ? 0 : nanos);
    if (reason !== null) wastes.add(reason, nanos, 0, 0);
  }
  breakdown.addShared(components.gpu_idle, components.tools_idle, components.classifier);

  const rows = Object.fromEntries(
    COST_DIMENSIONS.map(dimension => [dimension, breakdown.rows(dimension)]),
  ) as Record<CostDimension, ReturnType<Breakdown['rows']>>;
  const { nanos: attemptNanos } = costs;
  return { totalNanos, components, rows, waste: wastes.rows(), attemptNanos, toolNanos, ...gpu };
}

const noComponents = (): Record<CostComponent, number> => ({
  gpu_work: 0,
  gpu_idle: 0,
  api_input: 0,
  api_cached_input: 0,
  api_cache_write: 0,
  api_output: 0,
  tools: 0,
  tools_idle: 0,
  classifier: 0,
});

const beyondBooks = (): UserError =>
  new UserError('the run costs more than 9 million USD, the most that is counted exactly', {
    hint: 'look at the prices of the deployment: one of them has the wrong unit',
  });

/** The work of each set of replicas, split over the attempts that it served. */
function addReplicas(
  run: LedgerInput,
  spent: readonly Spent[],
  { rates }: CostBasis,
  components: Record<CostComponent, number>,
  costs: Costs,
): Pick<Ledger, 'gpuSeconds' | 'prefillGpuSeconds' | 'notes'> {
  const notes: string[] = [];
  let prefillGpuSeconds = 0;
  const gpuSeconds = { busy: 0, paid: 0 };
  for (const [name, set] of replicaCosts(run.replicas ?? [], run.busy, run.durationMs)) {
    const rate = rates.get(name);
    gpuSeconds.busy += set.busyGpuSeconds;
    gpuSeconds.paid += set.paidGpuSeconds;
    components.gpu_idle += set.idleNanos;
    if (!set.isPriced) notes.push(`no price is known for the GPUs of ${name}: they cost nothing here`);
    const weights = Float64Array.from(spent, each =>
      rate === undefined || targetOf(each) !== set.pool ? 0 : workNs(each, rate),
    );
    const weight = weights.reduce((sum, each) => sum + each, 0);
    if (rate === undefined || weight === 0) {
      // Nothing came of what it computed.
      components.gpu_idle += set.workNanos;
      continue;
    }
    components.gpu_work += set.workNanos;
    const prefill = spent.reduce((sum, each, i) => sum + (weights[i] === 0 ? 0 : prefillNs(each, rate)), 0);
    prefillGpuSeconds += set.busyGpuSeconds * (prefill / weight);
    const parts = splitWhole(set.workNanos, weights);
    for (let i = 0; i < parts.length; i++) {
      const own = weights[i]!;
      if (own === 0) continue;
      const seconds = set.busyGpuSeconds * (own / weight);
      const lateRatio = Math.min(1, workNsAfter(spent[i]!, rate) / own);
      costs.nanos[i]! += parts[i]!;
      costs.afterNanos[i]! += Math.round(parts[i]! * lateRatio);
      costs.gpuSeconds[i]! += seconds;
      costs.afterGpuSeconds[i]! += seconds * lateRatio;
    }
  }
  if (run.busy === undefined && gpuSeconds.paid > 0)
    notes.push('how long the servers computed is not known: all GPU time that is paid for counts as work');
  return { gpuSeconds, prefillGpuSeconds, notes };
}

function addBills(
  spent: readonly Spent[],
  { price }: CostBasis,
  components: Record<CostComponent, number>,
  costs: Costs,
): void {
  for (const [i, each] of spent.entries()) {
    const tokenPrice = price(targetOf(each), each.model);
    if (tokenPrice === null) continue;
    const bill = billOf(each, tokenPrice);
    components.api_input += bill.input;
    components.api_cached_input += bill.cachedInput;
    components.api_cache_write += bill.cacheWrite;
    components.api_output += bill.output;
    costs.nanos[i]! += bill.input + bill.cachedInput + bill.cacheWrite + bill.output;
    costs.afterNanos[i]! += bill.after;
  }
}
