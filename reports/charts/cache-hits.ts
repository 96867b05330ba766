// Prompt tokens by segment, found in the cache or computed.
import type { RunResult } from '../../scenarios/formats/result.ts';
import { showRatio } from '../numbers.ts';
import { type Chart, COUNT_LABEL, chartSpec, INK, PALETTE, topLegend } from './chart.ts';

const SEGMENTS_MAX = 16;

export const cacheHits: Chart<RunResult> = {
  id: 'cache-hits',
  howToRead:
    'A bar is all prompt tokens of one kind of prompt part; blue was found in the KV cache, orange had to be computed. ' +
    'A prefix cache hits from the left of a prompt: one changed token makes everything after it miss. A stable segment ' +
    'that misses is evicted too early, routed to the wrong replica, or sits behind something volatile.',

  title({ tokens, cacheBySegment }) {
    const missed = cacheBySegment
      .map(({ segment, promptTokens, cachedTokens }) => ({ segment, tokens: promptTokens - cachedTokens }))
      .sort((a, b) => b.tokens - a.tokens)[0];
    if (missed === undefined || tokens.prompt === 0) return 'Cache hits by prompt segment';
    const hit = `${showRatio(tokens.cached / tokens.prompt)} of prompt tokens are cache hits`;
    const allMissed = cacheBySegment.reduce((sum, row) => sum + row.promptTokens - row.cachedTokens, 0);
    return allMissed === 0
      ? hit
      : `${hit}; ${showRatio(missed.tokens / allMissed)} of the misses are in “${missed.segment}”`;
  },

  spec({ cacheBySegment }) {
    if (cacheBySegment.length === 0) {
      return { absent: 'no call reports cached tokens (for vLLM: --enable-prompt-tokens-details)' };
    }
    const rows = cacheBySegment.slice(0, SEGMENTS_MAX);
    const tokens = rows.flatMap(({ segment, promptTokens, cachedTokens }) => [
      { segment, from: 'cache', order: 0, tokens: cachedTokens, promptTokens },
      { segment, from: 'computed', order: 1, tokens: promptTokens - cachedTokens, promptTokens },
    ]);
    const hits = rows.map(({ segment, promptTokens, cachedTokens }) => ({
      segment,
      promptTokens,
      hit: promptTokens === 0 ? 0 : cachedTokens / promptTokens,
    }));
    const y = {
      field: 'segment',
      type: 'nominal',
      sort: rows.map(({ segment }) => segment),
      title: null,
      axis: { labelLimit: 120, domain: false, ticks: false },
    };
    return chartSpec(
      { tokens, hits },
      {
        height: { step: 34 },
        layer: [
          {
            data: { name: 'tokens' },
            mark: { type: 'bar', height: { band: 0.7 }, cornerRadius: 1 },
            encoding: {
              y,
              x: {
                field: 'tokens',
                type: 'quantitative',
                title: 'prompt tokens',
                axis: { labelExpr: COUNT_LABEL, tickCount: 5 },
              },
              color: {
                field: 'from',
                type: 'nominal',
                scale: { domain: ['cache', 'computed'], range: [PALETTE.blue, PALETTE.orange] },
                legend: topLegend(),
              },
              order: { field: 'order', type: 'quantitative' },
              tooltip: [
                { field: 'segment', title: 'segment' },
                { field: 'from', title: 'from' },
                { field: 'tokens', title: 'tokens', format: ',' },
              ],
            },
          },
          {
            data: { name: 'hits' },
            mark: { type: 'text', align: 'left', dx: 5, fontSize: 11, fontWeight: 600, color: INK },
            encoding: {
              y,
              x: { field: 'promptTokens', type: 'quantitative' },
              text: { field: 'hit', format: '.0%' },
            },
          },
        ],
      },
    );
  },

  table({ cacheBySegment }) {
    return {
      columns: ['segment', 'prompt tokens', 'cached tokens', 'hit ratio (0-1)'],
      rows: cacheBySegment.map(({ segment, promptTokens, cachedTokens }) => [
        segment,
        promptTokens,
        cachedTokens,
        promptTokens === 0 ? null : cachedTokens / promptTokens,
      ]),
    };
  },
};
