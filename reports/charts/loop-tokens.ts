// Evaluator loops: tokens billed, found in the cache and computed, pass by pass, against workflows that do not loop.
import type { PassRow, RunResult } from '../../scenarios/formats/result.ts';
import { showNumber, showRatio } from '../numbers.ts';
import { type Chart, COUNT_LABEL, chartSpec, PALETTE, topLegend } from './chart.ts';

const perSession = (row: PassRow, tokens: number): number => tokens / Math.max(1, row.workflows);

/** The loop that bills most: its passes after the first are what the title is about. */
function longestLoop(rows: readonly PassRow[]): PassRow[] {
  const loops = Map.groupBy(
    rows.filter(row => row.pass !== null),
    row => `${row.workflow} ${row.loop}`,
  );
  return [...loops.values()].sort((a, b) => b.length - a.length)[0] ?? [];
}

export const loopTokens: Chart<RunResult> = {
  id: 'loop-tokens',
  howToRead:
    'A loop sends its whole context again in each pass. A provider bills all of it (the bar); a prefix cache saves the ' +
    'engine the blue part. Bars are means per session; workflows without a loop stand beside as a whole.',

  title({ byPass }) {
    const loop = longestLoop(byPass);
    const first = loop[0];
    const last = loop.at(-1);
    if (first === undefined || last === undefined || first === last) return 'Tokens by pass of a loop';
    const grown = last.promptTokens / (first.promptTokens || 1);
    const hit = last.promptTokens === 0 ? 0 : last.cachedTokens / last.promptTokens;
    return `Pass ${(last.pass ?? 0) + 1} of ${last.loop ?? last.workflow} bills ${showNumber(grown)} times the prompt tokens of the first; ${showRatio(hit)} of them come from the cache`;
  },

  spec({ byPass }) {
    if (longestLoop(byPass).length < 2) {
      return { absent: 'no step of this run repeats (a loop needs a second pass)' };
    }
    const tokens = byPass.flatMap(row => {
      const freshTokens = Math.max(0, row.promptTokens - row.cachedTokens);
      const part = (kind: string, order: number, sum: number) => ({
        row: row.group,
        kind,
        order,
        tokens: perSession(row, sum),
        calls: row.calls,
      });
      return [
        part('prompt, cached', 0, row.cachedTokens),
        part('prompt, computed', 1, freshTokens),
        part('output', 2, row.outputTokens),
      ];
    });
    return chartSpec(
      { tokens },
      {
        height: { step: 26 },
        data: { name: 'tokens' },
        mark: { type: 'bar', cornerRadiusEnd: 1, height: { band: 0.66 } },
        encoding: {
          y: {
            field: 'row',
            type: 'nominal',
            sort: byPass.map(row => row.group),
            title: null,
            axis: { domain: false, ticks: false, labelLimit: 190 },
          },
          x: {
            field: 'tokens',
            type: 'quantitative',
            title: 'tokens a session',
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
            { field: 'row', title: 'pass' },
            { field: 'kind', title: 'tokens' },
            { field: 'tokens', title: 'a session', format: ',.0f' },
            { field: 'calls', title: 'calls', format: ',' },
          ],
        },
      },
    );
  },

  table({ byPass }) {
    return {
      columns: [
        'pass',
        'sessions',
        'calls',
        'prompt tokens billed',
        'cached tokens',
        'computed tokens',
        'output tokens',
      ],
      rows: byPass.map(row => [
        row.group,
        row.workflows,
        row.calls,
        row.promptTokens,
        row.cachedTokens,
        row.computedTokens,
        row.outputTokens,
      ]),
    };
  },
};
