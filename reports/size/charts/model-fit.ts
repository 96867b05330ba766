// Models on the same GPUs under the same promises: what 1,000 workflows cost with the fewest replicas that keep them.
import { type Chart, chartSpec, INK, PALETTE, topLegend } from '../../charts/chart.ts';
import { plural, showUsd } from '../../numbers.ts';

export interface ModelFit {
  readonly gpu: string;
  readonly models: readonly {
    readonly model: string;
    readonly verdict: 'kept' | 'unsure' | 'broken' | 'does not fit';
    /** Fewest that keep the promises; null: none do. */
    readonly replicas: number | null;
    readonly gpus: number | null;
    readonly usdPer1000Workflows: number | null;
    readonly usdPerHour: number | null;
    readonly weights: string | null;
    readonly tensorParallel: number | null;
    readonly tightest: { readonly text: string; readonly shown: string; readonly marginRatio: number } | null;
    /** Why it does not keep them. */
    readonly why: string | null;
  }[];
}

const VERDICTS = {
  kept: PALETTE.green,
  unsure: PALETTE.orange,
  broken: PALETTE.vermilion,
  'does not fit': PALETTE.grey,
} as const;

export const modelFitChart: Chart<ModelFit> = {
  id: 'size-models',
  howToRead:
    'Each row is a model on the fewest GPUs with which it keeps every promise; the bar is what 1,000 workflows cost there. ' +
    'Green is kept by the whole interval over seeds, orange only on average. A row without a bar keeps them with no number ' +
    'that was tried, or does not fit. Whether its answers are good enough, nobody judges here.',

  title({ models, gpu }) {
    const priced = models.filter(({ usdPer1000Workflows }) => usdPer1000Workflows !== null);
    const [best] = priced.toSorted((a, b) => a.usdPer1000Workflows! - b.usdPer1000Workflows!);
    if (best === undefined) return `No model keeps the promises on ${gpu}`;
    return `${best.model} keeps the promises for ${showUsd(best.usdPer1000Workflows!)} per 1,000 workflows on ${plural(best.gpus!, gpu)}`;
  },

  spec({ models }) {
    const rows = models.map(({ model, verdict, usdPer1000Workflows, gpus, why }) => ({
      model,
      verdict,
      usd: usdPer1000Workflows ?? 0,
      shown:
        usdPer1000Workflows === null
          ? verdict === 'broken'
            ? 'broken'
            : (why ?? verdict).slice(0, 60)
          : `${showUsd(usdPer1000Workflows)}, ${plural(gpus!, 'GPU')}`,
    }));
    if (rows.every(({ usd }) => usd === 0))
      return { absent: 'no model that was tried keeps the promises, or no price is known of its GPUs' };
    const y = {
      field: 'model',
      type: 'nominal',
      sort: rows.map(({ model }) => model),
      title: null,
      axis: { domain: false, ticks: false, labelLimit: 220 },
    };
    const x = {
      field: 'usd',
      type: 'quantitative',
      title: 'USD per 1,000 workflows',
      // Names of costs are long, and a phone is narrow.
      scale: { domain: [0, 2.2 * Math.max(...rows.map(({ usd }) => usd))], nice: false },
      axis: { tickCount: 5, format: ',.12~g', grid: false },
    };
    const names = Object.keys(VERDICTS).filter(name =>
      rows.some(({ verdict }) => verdict === name),
    ) as (keyof typeof VERDICTS)[];
    return chartSpec(
      { rows },
      {
        height: { step: 30 },
        data: { name: 'rows' },
        layer: [
          {
            mark: { type: 'bar', height: { band: 0.62 } },
            encoding: {
              y,
              x,
              color: {
                field: 'verdict',
                type: 'nominal',
                scale: { domain: names, range: names.map(name => VERDICTS[name]) },
                legend: topLegend(),
              },
              tooltip: [
                { field: 'model', title: 'model' },
                { field: 'verdict', title: 'promises' },
                { field: 'shown', title: 'cost' },
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

  table({ models }) {
    return {
      columns: [
        'model',
        'promises',
        'replicas',
        'GPUs',
        'weights',
        'USD per 1,000 workflows',
        'tightest promise',
        'at',
      ],
      rows: models.map(({ model, verdict, replicas, gpus, weights, usdPer1000Workflows, tightest, why }) => [
        model,
        verdict,
        replicas,
        gpus,
        weights,
        usdPer1000Workflows,
        tightest?.text ?? why,
        tightest?.shown ?? null,
      ]),
    };
  },
};
