// What was paid for in vain, by reason.
import type { Waste } from '../../scenarios/formats/record.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { showNumber, showRatio, showTokens, showUsd } from '../numbers.ts';
import { type Chart, COUNT_LABEL, chartSpec, INK, PALETTE, roomForLabels } from './chart.ts';

export const WASTE_NAMES: Record<Waste, string> = {
  retried: 'tried again',
  hedged: 'hedge not needed',
  failed: 'failed',
  timed_out: 'timed out',
  cancelled: 'cancelled',
  after_cancel: 'after a cancel',
  over_budget: 'over budget',
  escalated: 'answer not good enough',
  stale_read: 'stale read',
  crash: 'crash',
  anomaly: 'anomaly',
  session_failed: 'its session was lost',
};

function rowsOf({ cost }: RunResult) {
  return (cost?.waste ?? [])
    .filter(({ usd, tokens }) => usd > 0 || tokens > 0)
    .map(({ reason, ...amounts }) => ({ reason: WASTE_NAMES[reason], ...amounts }))
    .sort((a, b) => b.usd - a.usd || b.tokens - a.tokens || (a.reason < b.reason ? -1 : 1));
}

/** In USD where prices are known, else in tokens. */
const isPriced = ({ cost }: RunResult): boolean => (cost?.totalUsd ?? 0) > 0;

export const wasteChart: Chart<RunResult> = {
  id: 'waste',
  howToRead:
    'Each bar is what was paid for and thrown away, by why. "Its session was lost" is work that went well in itself, of a ' +
    'workflow that failed or was ended; "after a cancel" is what servers still did when nobody waited any more.',

  title(result) {
    const rows = rowsOf(result);
    const [largest] = rows;
    const { cost } = result;
    if (cost === undefined || largest === undefined) return 'Nothing was paid for in vain';
    const wasted = rows.reduce((sum, { usd }) => sum + usd, 0);
    return isPriced(result)
      ? `${showUsd(wasted)} of ${showUsd(cost.totalUsd)}, ${showRatio(wasted / cost.totalUsd)}, was paid for in vain; most of it: ${largest.reason}`
      : `${showTokens(rows.reduce((sum, { tokens }) => sum + tokens, 0))} tokens were in vain; most of them: ${largest.reason}`;
  },

  spec(result) {
    const rows = rowsOf(result);
    if (rows.length === 0) return { absent: 'every answer was used, and no workflow failed' };
    const field = isPriced(result) ? 'usd' : 'tokens';
    const y = {
      field: 'reason',
      type: 'nominal',
      sort: rows.map(({ reason }) => reason),
      title: null,
      axis: { domain: false, ticks: false, labelLimit: 190 },
    };
    const x = {
      field,
      type: 'quantitative',
      title: field === 'usd' ? 'USD' : 'tokens',
      scale: roomForLabels(rows.map(row => row[field])),
      axis: field === 'usd' ? { tickCount: 4, format: ',.12~g' } : { tickCount: 4, labelExpr: COUNT_LABEL },
    };
    const shown = rows.map(row => ({
      ...row,
      shown: field === 'usd' ? showUsd(row.usd) : showTokens(row.tokens),
      usdShown: showUsd(row.usd),
      tokensShown: showTokens(row.tokens),
      gpuShown: `${showNumber(row.gpuSeconds)} s`,
    }));
    return chartSpec(
      { rows: shown },
      {
        height: { step: 28 },
        data: { name: 'rows' },
        layer: [
          {
            mark: { type: 'bar', cornerRadiusEnd: 1, height: { band: 0.66 }, color: PALETTE.vermilion },
            encoding: {
              y,
              x,
              tooltip: [
                { field: 'reason', title: 'why' },
                { field: 'usdShown', title: 'cost' },
                { field: 'tokensShown', title: 'tokens' },
                { field: 'gpuShown', title: 'GPU time' },
              ],
            },
          },
          {
            mark: { type: 'text', align: 'left', dx: 5, fontSize: 11, color: INK },
            encoding: { y, x, text: { field: 'shown' } },
          },
        ],
      },
    );
  },

  table(result) {
    return {
      columns: ['why', 'USD', 'tokens', 'GPU-seconds'],
      rows: rowsOf(result).map(({ reason, usd, tokens, gpuSeconds }) => [reason, usd, tokens, gpuSeconds]),
    };
  },
};
