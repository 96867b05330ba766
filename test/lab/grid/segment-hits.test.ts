// What of each part of the prompts a cache had.
import { expect, test } from 'vitest';
import { addHits, type SegmentHits } from '../../../lab/grid/segment-hits.ts';
import { aCall } from '../../builders/records.ts';

test('a hit is a prefix: parts in front are found first, and one may be found in part', () => {
  const hits = new Map<string, SegmentHits>();
  const parts = [
    { segment: 'system', tokens: 100 },
    { segment: 'history', tokens: 50 },
    { segment: 'input', tokens: 10 },
  ];
  addHits(hits, aCall({ parts, cachedTokens: 120 }));
  addHits(hits, aCall({ parts: parts.slice(0, 1), cachedTokens: 64 }));
  expect(Object.fromEntries(hits)).toEqual({
    system: { promptTokens: 200, cachedTokens: 164 },
    history: { promptTokens: 50, cachedTokens: 20 },
    input: { promptTokens: 10, cachedTokens: 0 },
  });
});

test('a call that no engine took up does not count', () => {
  const hits = new Map<string, SegmentHits>();
  addHits(hits, aCall({ parts: [{ segment: 'system', tokens: 9 }], scheduledMs: null }));
  expect(hits.size).toBe(0);
});
