// Evaluator loops: tokens billed, found in the cache and computed, by iteration.
import type { RunResult } from '../../scenarios/formats/result.ts';
import { showNumber, showRatio } from '../numbers.ts';
import { type Chart, COUNT_LABEL, chartSpec, PALETTE, topLegend } from './chart.ts';

export const loopTokens: Chart<RunResult> = {
  id: 'loop-tokens',
  howToRead:
    'A loop sends its whole context again in each round. The provider bills all of it (the bar); a prefix cache saves ' +
    'the engine the blue part. Bars are means per call, so rounds that fewer workflows reach stay comparable; the first ' +
    'also holds the calls outside any loop.',

  title({ byIteration }) {
    const first = byIteration[0];
    const last = byIteration.at(-1);
    if (first === undefined || last === undefined || first === last) return 'Tokens by loop iteration';
    const grown = last.promptTokens / last.calls / (first.promptTokens / first.calls || 1);
    const hit = last.promptTokens === 0 ? 0 : last.cachedTokens / last.promptTokens;
    return `By round ${Number(last.group) + 1} a call is billed ${showNumber(grown)} times the prompt tokens of the first, and ${showRatio(hit)} come from the cache`;
  },

  spec({ byIteration }) {
    if (byIteration.length < 2)
      return { absent: 'no step of this run repeats (a loop needs a second iteration)' };
    const tokens = byIteration.flatMap(row => {
      const round = Number(row.group) + 1;
      const freshTokens = Math.max(0, row.promptTokens - row.cachedTokens);
      return [
        { round, kind: 'prompt, cached', order: 0, tokens: row.cachedTokens / row.calls, calls: row.calls },
        { round, kind: 'prompt, computed', order: 1, tokens: freshTokens / row.calls, calls: row.calls },
        { round, kind: 'output', order: 2, tokens: row.outputTokens / row.calls, calls: row.calls },
      ];
    });
    return chartSpec(
      { tokens },
      {
        height: 240,
        data: { name: 'tokens' },
        mark: { type: 'bar', cornerRadiusEnd: 1, width: { band: 0.62 } },
        encoding: {
          x: {
            field: 'round',
            type: 'ordinal',
            title: 'round',
            axis: { labelAngle: 0, domain: false, ticks: false },
          },
          y: {
            field: 'tokens',
            type: 'quantitative',
            title: 'tokens per call',
            axis: { labelExpr: COUNT_LABEL, tickCount: 5 },
          },
          order: { field: 'order', type: 'quantitative' },
          color: {
            field: 'kind',
            type: 'nominal',
            scale: {
              domain: ['prompt, cached', 'prompt, computed', 'output'],
              range: [PALETTE.blue, PALETTE.orange, PALETTE.green],
            },
            legend: topLegend(),
          },
          tooltip: [
            { field: 'round', title: 'round' },
            { field: 'kind', title: 'tokens' },
            { field: 'tokens', title: 'per call', format: ',.0f' },
            { field: 'calls', title: 'calls', format: ',' },
          ],
        },
      },
    );
  },

  table({ byIteration }) {
    return {
      columns: [
        'round',
        'calls',
        'prompt tokens billed',
        'cached tokens',
        'computed tokens',
        'output tokens',
      ],
      rows: byIteration.map(row => [
        Number(row.group) + 1,
        row.calls,
        row.promptTokens,
        row.cachedTokens,
        row.computedTokens,
        row.outputTokens,
      ]),
    };
  },
};
