// What a thousand workflows cost, by what is paid for.
import { COST_COMPONENTS, type CostComponent } from '../../scenarios/formats/ledger.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { showRatio, showUsd } from '../numbers.ts';
import { type Chart, chartSpec, INK, PALETTE, roomForLabels } from './chart.ts';

export const COMPONENT_NAMES: Record<CostComponent, string> = {
  gpu_work: 'GPUs at work',
  gpu_idle: 'GPUs idle',
  api_input: 'API input',
  api_cached_input: 'API cached input',
  api_cache_write: 'API cache writes',
  api_output: 'API output',
  tools: 'tools',
  tools_idle: 'idle sandboxes',
  classifier: 'classifier',
};

const COLOURS: Record<CostComponent, string> = {
  gpu_work: PALETTE.blue,
  gpu_idle: PALETTE.grey,
  api_input: PALETTE.orange,
  api_cached_input: PALETTE.yellow,
  api_cache_write: PALETTE.vermilion,
  api_output: PALETTE.purple,
  tools: PALETTE.green,
  tools_idle: '#B7D9CB',
  classifier: PALETTE.sky,
};

/** Of the run where no workflow completed. */
const scaleOf = ({ counts }: RunResult): number =>
  counts.workflows.completed === 0 ? 1 : 1000 / counts.workflows.completed;

function partsOf(result: RunResult): { part: string; colour: string; usd: number; share: number }[] {
  const { cost } = result;
  if (cost === undefined) return [];
  return COST_COMPONENTS.map(name => ({
    part: COMPONENT_NAMES[name],
    colour: COLOURS[name],
    usd: cost.byComponent[name] * scaleOf(result),
    share: cost.totalUsd === 0 ? 0 : cost.byComponent[name] / cost.totalUsd,
  })).filter(({ usd }) => usd > 0);
}

export const costChart: Chart<RunResult> = {
  id: 'cost',
  howToRead:
    'Each bar is what 1,000 completed workflows cost in one kind. A GPU is paid for from the wish for its replica to ' +
    'its end: while it computes that is work, else it is idle. An API is paid by the token, at four prices. What ' +
    'failed and what was thrown away is inside.',

  title(result) {
    const { cost } = result;
    const largest = partsOf(result).sort((a, b) => b.usd - a.usd)[0];
    if (cost === undefined || largest === undefined) return 'Cost by component';
    const whole =
      cost.usdPer1000Workflows === null
        ? `The run costs ${showUsd(cost.totalUsd)}`
        : `1,000 workflows cost ${showUsd(cost.usdPer1000Workflows)}`;
    return `${whole}, ${showRatio(largest.share)} of it ${largest.part}`;
  },

  spec(result) {
    const parts = partsOf(result);
    if (parts.length === 0) return { absent: 'no price is known of anything that was used' };
    const domain = parts.map(({ part }) => part);
    const y = {
      field: 'part',
      type: 'nominal',
      sort: null,
      title: null,
      axis: { domain: false, ticks: false },
    };
    const x = {
      field: 'usd',
      type: 'quantitative',
      title: result.counts.workflows.completed === 0 ? 'USD, whole run' : 'USD per 1,000 workflows',
      axis: { tickCount: 4, format: ',.3~r' },
      scale: roomForLabels(parts.map(({ usd }) => usd)),
    };
    return chartSpec(
      { parts: parts.map(each => ({ ...each, shown: showUsd(each.usd) })) },
      {
        height: { step: 28 },
        data: { name: 'parts' },
        layer: [
          {
            mark: { type: 'bar', cornerRadiusEnd: 1, height: { band: 0.66 } },
            encoding: {
              y,
              x,
              color: {
                field: 'part',
                type: 'nominal',
                scale: { domain, range: parts.map(({ colour }) => colour) },
                legend: null,
              },
              tooltip: [
                { field: 'part', title: 'of' },
                { field: 'shown', title: 'cost' },
                { field: 'share', title: 'share', format: '.1%' },
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
      columns: ['component', 'USD per 1,000 workflows', 'share (0-1)'],
      rows: partsOf(result).map(({ part, usd, share }) => [part, usd, share]),
    };
  },
};
