// What a run cost, as its summary shows it: the ledger's rows in USD, long lists cut to the dearest.
import {
  type CostDimension,
  type Ledger,
  type LedgerRow,
  NANOS_PER_USD,
} from '../../scenarios/formats/ledger.ts';
import type { CostRow, CostSummary } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';

export const OTHERS_GROUP = '(others)';
const USERS_MAX = 20;
const ROWS_MAX = 200;

const usd = (nanos: number): number => nanos / NANOS_PER_USD;

const costRow = ({ group, nanos, wastedNanos }: LedgerRow): CostRow => ({
  group,
  usd: usd(nanos),
  wastedUsd: usd(wastedNanos),
});

/** The first `most` rows, which cost most, and all others as one. */
function rowsOf(rows: readonly LedgerRow[], most: number): CostRow[] {
  const others = { group: OTHERS_GROUP, nanos: 0, wastedNanos: 0 };
  for (const { nanos, wastedNanos } of rows.slice(most)) {
    others.nanos += nanos;
    others.wastedNanos += wastedNanos;
  }
  return [...rows.slice(0, most), ...(rows.length > most ? [others] : [])].map(costRow);
}

/** null: nobody kept the books, or nothing in them has a price. */
export function costOf({ ledger, workflows }: Pick<RunOutput, 'ledger' | 'workflows'>): CostSummary | null {
  if (ledger === undefined || (ledger.totalNanos === 0 && ledger.gpuSeconds.paid === 0)) return null;
  const completed = workflows.filter(({ status }) => status === 'completed').length;
  const by = (dimension: CostDimension, most = ROWS_MAX) => rowsOf(ledger.rows[dimension], most);
  return {
    totalUsd: usd(ledger.totalNanos),
    usdPer1000Workflows: completed === 0 ? null : (usd(ledger.totalNanos) / completed) * 1000,
    byComponent: componentsOf(ledger),
    byWorkflow: by('workflow'),
    byStep: by('step'),
    byRole: by('role'),
    byTenant: by('tenant'),
    byUser: by('user', USERS_MAX),
    byTarget: by('target'),
    waste: ledger.waste.map(({ reason, nanos, tokens, gpuSeconds }) => ({
      reason,
      usd: usd(nanos),
      tokens,
      gpuSeconds,
    })),
    gpuSeconds: { ...ledger.gpuSeconds },
    notes: [...ledger.notes],
  };
}

const componentsOf = ({ components }: Ledger): CostSummary['byComponent'] => ({
  gpu_work: usd(components.gpu_work),
  gpu_idle: usd(components.gpu_idle),
  api_input: usd(components.api_input),
  api_cached_input: usd(components.api_cached_input),
  api_cache_write: usd(components.api_cache_write),
  api_output: usd(components.api_output),
  tools: usd(components.tools),
  tools_idle: usd(components.tools_idle),
  classifier: usd(components.classifier),
});
