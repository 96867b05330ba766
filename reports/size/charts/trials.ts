// Every deployment that was tried: what it costs against how much of its tightest promise it uses up.
import type { Sized, SizeResult } from '../../../scenarios/formats/size.ts';
import { type Chart, chartSpec, FAINT, INK, logTicks, PALETTE, topLegend } from '../../charts/chart.ts';
import { showUsd } from '../../numbers.ts';

/** Too little of a promise to matter: all of these are drawn at the floor. */
const FLOOR = 0.01;

/** How much of its tightest promise is used up: 1 at the target. */
export function usedOf({ promises }: Pick<Sized, 'promises'>): number {
  const used = promises.map(({ value, usedRatio }) =>
    value === null ? 0 : (usedRatio ?? Number.POSITIVE_INFINITY),
  );
  return Math.max(0, ...used);
}

const KEPT = 'keeps its promises';
const UNSURE = 'keeps them, not surely';
const BROKEN = 'breaks one';

const wordOf = ({ verdict }: Sized): string =>
  verdict === 'kept' ? KEPT : verdict === 'unsure' ? UNSURE : BROKEN;

const CEILING = 20;

const { symbolType: _, ...LEGEND } = topLegend({ columns: { expr: 'width < 560 ? 1 : 0' } });

export const trialsChart: Chart<SizeResult> = {
  id: 'size-trials',
  howToRead:
    'Each point is a deployment that was simulated: to the right it costs more, further up more of its tightest promise is ' +
    'used up; above the dotted line a promise is broken. The answer is the leftmost one that surely stays below. Each point is ' +
    'the longest look: short runs may be off a little, those near the answer were run longer and with several seeds.',

  title({ answer, effort, trials }) {
    if (answer === null) return `None of ${effort.tried} deployments that were tried keeps every promise`;
    const runs = trials.length;
    return `${answer.name} is the cheapest that surely keeps every promise, of ${effort.tried} deployments in ${runs} trials`;
  },

  spec({ trials, answer, runnerUp }) {
    // Of each deployment the last look, which was the longest: what short runs thought of it is over.
    const points = [...new Map(trials.map(trial => [trial.name, trial])).values()]
      .filter(({ usdPerHour }) => usdPerHour !== null)
      .map(trial => ({
        name: trial.name,
        usd: trial.usdPerHour,
        shown: showUsd(trial.usdPerHour!),
        used: Math.min(CEILING, Math.max(FLOOR, usedOf(trial))),
        state: wordOf(trial),
        seeds: trial.seeds,
      }));
    if (points.length === 0)
      return { absent: 'nothing was simulated: every candidate was out by arithmetic alone' };
    const named = [
      { sized: answer, label: 'answer' },
      { sized: runnerUp, label: 'runner-up' },
    ].flatMap(({ sized, label }) =>
      sized?.usdPerHour == null
        ? []
        : [{ usd: sized.usdPerHour, used: Math.min(CEILING, Math.max(FLOOR, usedOf(sized))), label }],
    );
    const costs = points.map(({ usd }) => usd!);
    const range = [Math.min(...costs) / 1.15, Math.max(...costs) * 1.15] as const;
    const used = [0.8, 1.5, ...points.map(point => point.used)];
    const height = [Math.min(...used) / 1.3, Math.max(...used) * 1.3] as const;
    const x = {
      field: 'usd',
      type: 'quantitative',
      title: 'USD an hour',
      scale: { type: 'log', nice: false, domain: range },
      axis: { values: logTicks(range), format: '$,.12~g' },
    };
    const y = {
      field: 'used',
      type: 'quantitative',
      title: 'of its tightest promise',
      scale: { type: 'log', nice: false, domain: height },
      axis: { values: logTicks(height), format: '~%' },
    };
    return chartSpec(
      { points, named, line: [{ at: 1 }] },
      {
        height: 320,
        layer: [
          {
            data: { name: 'line' },
            mark: { type: 'rule', strokeDash: [4, 4], color: FAINT },
            encoding: { y: { ...y, field: 'at' } },
          },
          {
            data: { name: 'points' },
            mark: { type: 'point', filled: true, size: 55, opacity: 0.75 },
            encoding: {
              x,
              y,
              color: {
                field: 'state',
                type: 'nominal',
                scale: {
                  domain: [KEPT, UNSURE, BROKEN],
                  range: [PALETTE.green, PALETTE.orange, PALETTE.vermilion],
                },
                legend: LEGEND,
              },
              shape: {
                field: 'state',
                type: 'nominal',
                scale: { domain: [KEPT, UNSURE, BROKEN], range: ['circle', 'diamond', 'cross'] },
                legend: LEGEND,
              },
              tooltip: [
                { field: 'name', title: 'deployment' },
                { field: 'shown', title: 'an hour' },
                { field: 'used', title: 'of its tightest promise', format: '.3~%' },
                { field: 'seeds', title: 'seeds' },
              ],
            },
          },
          {
            data: { name: 'named' },
            mark: { type: 'point', filled: false, size: 190, strokeWidth: 2, color: INK },
            encoding: { x, y },
          },
          {
            data: { name: 'named' },
            mark: {
              type: 'text',
              // Of equal cost they are near each other.
              dy: { expr: "datum.label === 'answer' ? 18 : -18" },
              fontSize: 12,
              fontWeight: 'bold',
              color: INK,
            },
            encoding: { x, y, text: { field: 'label' } },
          },
        ],
      },
    );
  },

  table: ({ trials }) => ({
    columns: ['deployment', 'seeds', 'verdict', 'USD an hour', 'of its tightest promise'],
    rows: trials.map(trial => [trial.name, trial.seeds, trial.verdict, trial.usdPerHour, usedOf(trial)]),
  }),
};
