// Shares of the critical path: of all workflows together, and of the median, p95 and longest one.
import type { CriticalPath } from '../../scenarios/formats/record.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { CRITICAL_PARTS, totalMs } from '../critical-path.ts';
import { showRatio } from '../numbers.ts';
import { largestPart, PART_NAMES } from '../verdict.ts';
import { type Chart, chartSpec, msLabel, PHASE_COLOURS, topLegend } from './chart.ts';

const PART_PHASES: Record<keyof CriticalPath, keyof typeof PHASE_COLOURS> = {
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

/** Text on a bar needs room, and ink that shows on the bar's colour. */
const LABELLED_SHARE_MIN = 0.07;

function pathsOf({
  criticalPath,
  counts,
  exemplars,
}: RunResult): { who: string; path: CriticalPath; times: number }[] {
  const labels = { p50: 'median one', p95: 'p95 one', max: 'longest' } as const;
  return [
    { who: 'all workflows', path: criticalPath, times: counts.workflows.completed },
    ...exemplars.flatMap(({ label, criticalPath: path }) =>
      label === 'sample' ? [] : [{ who: labels[label], path, times: 1 }],
    ),
  ].filter(({ path }) => totalMs(path) > 0);
}

const partsOf = (result: RunResult) =>
  pathsOf(result).flatMap(({ who, path, times }) =>
    CRITICAL_PARTS.map((part, order) => ({
      who,
      part: PART_PHASES[part],
      order,
      perWorkflowMs: path[part] / Math.max(1, times),
      share: path[part] / totalMs(path),
    })),
  );

export const whereTimeGoes: Chart<RunResult> = {
  id: 'where-time-goes',
  howToRead:
    'Each bar is 100 % of the time on the critical path: first of all completed workflows together, then of three of ' +
    'them. What is wide in the tail but not at the median is what makes workflows slow. Only time on the critical ' +
    'path counts, so halving a part shortens the workflow by at most half its width. Live servers do not say when a ' +
    'request left their queue: there, prefill holds the queue.',

  title(result) {
    const largest = largestPart(result.criticalPath);
    return largest === null
      ? 'Where the time goes'
      : `${showRatio(largest.share)} of the time on the critical path is ${PART_NAMES[largest.part]}`;
  },

  spec(result) {
    const parts = partsOf(result).filter(({ share }) => share > 0);
    if (parts.length === 0) return { absent: 'no workflow completed, so there is no critical path' };
    const domain = CRITICAL_PARTS.map(part => PART_PHASES[part]).filter(name =>
      parts.some(({ part }) => part === name),
    );
    const encoding = {
      y: {
        field: 'who',
        type: 'nominal',
        sort: null,
        title: null,
        axis: { labelLimit: 110, domain: false, ticks: false },
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
        height: { step: 38 },
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
            transform: [{ filter: `datum.share >= ${LABELLED_SHARE_MIN}` }],
            mark: { type: 'text', fontSize: 11, fontWeight: 600 },
            encoding: {
              ...encoding,
              x: { ...encoding.x, bandPosition: 0.5 },
              detail: { field: 'part' },
              text: { field: 'share', format: '.0%' },
              color: {
                condition: { test: "indexof(['decode', 'tool'], datum.part) >= 0", value: '#ffffff' },
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
      rows: partsOf(result).map(({ who, part, share, perWorkflowMs }) => [who, part, share, perWorkflowMs]),
    };
  },
};
