// Prompt tokens that caches missed, by segment and reason.
import type { MissReason } from '../../scenarios/formats/record.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { MISS_NAMES, missClause, missedByReason, worstMiss } from '../cache-misses.ts';
import { showRatio, showTokens } from '../numbers.ts';
import { type Chart, COUNT_LABEL, chartSpec, INK, PALETTE, roomForLabels, topLegend } from './chart.ts';

const SEGMENTS_MAX = 16;

const COLOURS: Record<MissReason, string> = {
  new: PALETTE.grey,
  partial: '#5B6FA8',
  changed: PALETTE.vermilion,
  elsewhere: PALETTE.sky,
  evicted: PALETTE.orange,
  expired: PALETTE.yellow,
  invalidated: PALETTE.purple,
  off: PALETTE.green,
};

const ORDER = Object.keys(MISS_NAMES) as MissReason[];

/** Segments with their missed tokens, the most first. */
function segmentsOf({ cacheMisses = [] }: RunResult): { segment: string; tokens: number }[] {
  const bySegment = new Map<string, number>();
  for (const { segment, tokens } of cacheMisses)
    bySegment.set(segment, (bySegment.get(segment) ?? 0) + tokens);
  return [...bySegment]
    .map(([segment, tokens]) => ({ segment, tokens }))
    .sort((a, b) => b.tokens - a.tokens || (a.segment < b.segment ? -1 : 1));
}

export const cacheMisses: Chart<RunResult> = {
  id: 'cache-misses',
  howToRead:
    'Each bar is the prompt tokens of one kind of prompt part that were computed, by why no cache had them. Grey was never ' +
    'computed before: no cache helps. Tokens “behind a changed prefix” were computed before, behind something else; they ' +
    'are in the bar of the part that changed. “On another replica” asks for routing, “evicted” for memory.',

  title(result) {
    const reasons = missedByReason(result);
    const [largest] = reasons;
    if (largest === undefined) return 'No prompt token was missed';
    const all = reasons.reduce((sum, { tokens }) => sum + tokens, 0);
    const worst = worstMiss(result);
    const more = worst === null || worst.reason === largest.reason ? '' : `; ${missClause(worst)}`;
    return `Of ${showTokens(all)} missed prompt tokens, ${missClause(largest)}${more}`;
  },

  spec(result) {
    const { cacheMisses: rows } = result;
    if (rows === undefined)
      return {
        absent:
          'no call says what its cache found (for vLLM: --enable-prompt-tokens-details); a simulation of the same ' +
          'scenario says what each call missed, and why',
      };
    if (rows.length === 0) return { absent: 'every prompt token was in the cache' };
    const segments = segmentsOf(result).slice(0, SEGMENTS_MAX);
    const shown = new Set(segments.map(({ segment }) => segment));
    const all = rows.reduce((sum, { tokens }) => sum + tokens, 0);
    const misses = rows
      .filter(({ segment }) => shown.has(segment))
      .map(({ segment, reason, tokens, calls, detail = '' }) => ({
        segment,
        detail,
        reason: MISS_NAMES[reason],
        order: ORDER.indexOf(reason),
        tokens,
        calls,
        share: showRatio(tokens / all),
      }));
    const met = ORDER.filter(reason => rows.some(row => row.reason === reason));
    const y = {
      field: 'segment',
      type: 'nominal',
      sort: segments.map(({ segment }) => segment),
      title: null,
      axis: { labelLimit: 120, domain: false, ticks: false },
    };
    const x = {
      field: 'tokens',
      type: 'quantitative',
      title: 'prompt tokens missed',
      scale: roomForLabels(segments.map(({ tokens }) => tokens)),
      axis: { labelExpr: COUNT_LABEL, tickCount: 4 },
    };
    return chartSpec(
      { misses, segments: segments.map(each => ({ ...each, share: showRatio(each.tokens / all) })) },
      {
        height: { step: 34 },
        layer: [
          {
            data: { name: 'misses' },
            mark: { type: 'bar', height: { band: 0.7 }, cornerRadius: 1 },
            encoding: {
              y,
              x,
              color: {
                field: 'reason',
                type: 'nominal',
                scale: {
                  domain: met.map(reason => MISS_NAMES[reason]),
                  range: met.map(reason => COLOURS[reason]),
                },
                legend: topLegend(),
              },
              order: { field: 'order', type: 'quantitative' },
              tooltip: [
                { field: 'segment', title: 'segment' },
                { field: 'reason', title: 'why' },
                { field: 'tokens', title: 'tokens', format: ',' },
                { field: 'share', title: 'of all missed' },
                { field: 'calls', title: 'calls', format: ',' },
                { field: 'detail', title: 'mostly' },
              ],
            },
          },
          {
            data: { name: 'segments' },
            mark: { type: 'text', align: 'left', dx: 5, fontSize: 11, fontWeight: 600, color: INK },
            encoding: { y, x, text: { field: 'share' } },
          },
        ],
      },
    );
  },

  table({ cacheMisses: rows = [] }) {
    return {
      columns: ['segment', 'why', 'tokens', 'calls', 'mostly'],
      rows: rows.map(({ segment, reason, tokens, calls, detail = null }) => [
        segment,
        MISS_NAMES[reason],
        tokens,
        calls,
        detail,
      ]),
    };
  },
};
