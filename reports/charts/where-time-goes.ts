// Shares of the critical path by cause: of all workflows together, of the median, p95 and longest one, and by step.
import type { CriticalPath } from '../../scenarios/formats/record.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { CRITICAL_PARTS, totalMs } from '../critical-path.ts';
import { showRatio } from '../numbers.ts';
import { shareText } from '../suggestions.ts';
import { largestPart, PART_NAMES } from '../verdict.ts';
import { type Chart, chartSpec, DARK_PHASES, msLabel, PHASE_COLOURS, topLegend } from './chart.ts';

export const PART_PHASES: Record<keyof CriticalPath, keyof typeof PHASE_COLOURS> = {
  queueMs: 'queue',
  prefillMs: 'prefill',
  decodeMs: 'decode',
  toolMs: 'tool',
  humanMs: 'human',
  waitMs: 'wait',
  retryMs: 'retry',
  limitMs: 'limit',
  coldMs: 'cold',
  transferMs: 'transfer',
  otherMs: 'other',
};

/** Text on a bar needs room. */
const LABELLED_SHARE_MIN = 0.07;
const STEPS_MAX = 8;
const ALL = 'all workflows';
/** A line of the axis between the two halves, with no bar. */
const BY_STEP = 'of these, by step';

interface Bar {
  who: string;
  part: keyof typeof PHASE_COLOURS;
  order: number;
  perWorkflowMs: number;
  /** Of the bar's whole path; of a step, of the path of all workflows. */
  share: number;
}

function pathsOf({
  criticalPath,
  counts,
  exemplars,
}: RunResult): { who: string; path: CriticalPath; times: number }[] {
  const labels = { p50: 'median one', p95: 'p95 one', max: 'longest' } as const;
  return [
    { who: ALL, path: criticalPath, times: counts.workflows.completed },
    ...exemplars.flatMap(({ label, criticalPath: path }) =>
      label === 'sample' || label === 'asked' ? [] : [{ who: labels[label], path, times: 1 }],
    ),
  ].filter(({ path }) => totalMs(path) > 0);
}

const workflowBars = (result: RunResult): Bar[] =>
  pathsOf(result).flatMap(({ who, path, times }) =>
    CRITICAL_PARTS.map((part, order) => ({
      who,
      part: PART_PHASES[part],
      order,
      perWorkflowMs: path[part] / Math.max(1, times),
      share: path[part] / totalMs(path),
    })),
  );

/** Those with most of it first; one step alone is all workflows. */
function stepBars({ bottleneck, criticalPath, counts }: RunResult): Bar[] {
  const rows = bottleneck?.bySteps ?? [];
  const sums = new Map<string, number>();
  for (const { step, ms } of rows) sums.set(step, (sums.get(step) ?? 0) + ms);
  if (sums.size < 2) return [];
  const steps = [...sums].sort(([, a], [, b]) => b - a).slice(0, STEPS_MAX);
  return steps.flatMap(([step]) =>
    rows
      .filter(row => row.step === step)
      .map(({ cause, ms }) => ({
        who: step,
        part: PART_PHASES[cause],
        order: CRITICAL_PARTS.indexOf(cause),
        perWorkflowMs: ms / Math.max(1, counts.workflows.completed),
        share: ms / totalMs(criticalPath),
      })),
  );
}

const barsOf = (result: RunResult): Bar[] => [...workflowBars(result), ...stepBars(result)];

export const whereTimeGoes: Chart<RunResult> = {
  id: 'where-time-goes',
  howToRead:
    'Above, each bar is 100 % of the time on the critical path: first of all completed workflows together, then of ' +
    'three of them. What is wide in the tail but not at the median is what makes workflows slow. Below, the first bar ' +
    'again, step by step. Only time on the critical path counts, so halving a part shortens the workflow by at most ' +
    'half its width. Live servers do not say when a request left their queue: there, prefill holds the queue.',

  title(result) {
    const largest = largestPart(result.criticalPath);
    if (largest === null) return 'Where the time goes';
    const whole = `${showRatio(largest.share)} of the time on the critical path is ${PART_NAMES[largest.part]}`;
    const { bottleneck } = result;
    return bottleneck === undefined ? whole : whole + shareText(bottleneck, largest.part);
  },

  spec(result) {
    const parts = barsOf(result).filter(({ share }) => share > 0);
    if (parts.length === 0) return { absent: 'no workflow completed, so there is no critical path' };
    const domain = CRITICAL_PARTS.map(part => PART_PHASES[part]).filter(name =>
      parts.some(({ part }) => part === name),
    );
    const [above, below] = [workflowBars(result), stepBars(result)].map(bars => [
      ...new Set(bars.map(({ who }) => who)),
    ]);
    const encoding = {
      y: {
        field: 'who',
        type: 'nominal',
        sort: null,
        scale: { domain: [...above!, ...(below!.length === 0 ? [] : [BY_STEP]), ...below!] },
        title: null,
        axis: {
          labelLimit: { expr: 'width < 420 ? 110 : 190' },
          labelFontWeight: { expr: `datum.value === '${BY_STEP}' ? 600 : 400` },
          domain: false,
          ticks: false,
        },
      },
      x: {
        field: 'share',
        type: 'quantitative',
        stack: 'zero',
        scale: { domain: [0, 1], nice: false },
        axis: { format: '~%', values: [0, 0.25, 0.5, 0.75, 1], grid: false },
        title: null,
      },
      order: { field: 'order', type: 'quantitative' },
    };
    return chartSpec(
      { parts },
      {
        height: { step: 32 },
        data: { name: 'parts' },
        transform: [{ calculate: msLabel('datum.perWorkflowMs'), as: 'took' }],
        layer: [
          {
            mark: { type: 'bar', cornerRadius: 1, height: { band: 0.72 } },
            encoding: {
              ...encoding,
              color: {
                field: 'part',
                type: 'nominal',
                scale: { domain, range: domain.map(name => PHASE_COLOURS[name]) },
                legend: topLegend(),
              },
              tooltip: [
                { field: 'who', title: 'of' },
                { field: 'part', title: 'part' },
                { field: 'share', format: '.1%', title: 'share' },
                { field: 'took', title: 'per workflow' },
              ],
            },
          },
          {
            // Kept where there is no room: labels stand on their own part of the stack.
            transform: [
              {
                calculate: `datum.share < ${LABELLED_SHARE_MIN} ? '' : format(datum.share, '.0%')`,
                as: 'label',
              },
            ],
            mark: { type: 'text', fontSize: 11, fontWeight: 600 },
            encoding: {
              ...encoding,
              x: { ...encoding.x, bandPosition: 0.5 },
              detail: { field: 'part' },
              text: { field: 'label', type: 'nominal' },
              color: {
                condition: {
                  test: `indexof(${JSON.stringify(DARK_PHASES)}, datum.part) >= 0`,
                  value: '#ffffff',
                },
                value: '#14181f',
              },
            },
          },
        ],
      },
    );
  },

  table(result) {
    return {
      columns: ['of', 'part', 'share (0-1)', 'per workflow (ms)'],
      rows: barsOf(result).map(({ who, part, share, perWorkflowMs }) => [who, part, share, perWorkflowMs]),
    };
  },
};
