// What of each part of the prompts a cache had: a hit is a prefix, so that the parts in front are found first.
import type { CallRecord } from '../../scenarios/formats/record.ts';

/** Of one part of the prompts, over the calls that an engine took up. */
export interface SegmentHits {
  promptTokens: number;
  cachedTokens: number;
}

/** Counts a call in, by the names of its parts. */
export function addHits(
  bySegment: Map<string, SegmentHits>,
  { parts, cachedTokens, scheduledMs }: CallRecord,
): void {
  if (scheduledMs === null) return;
  let left = cachedTokens ?? 0;
  for (const { segment, tokens } of parts) {
    const hits = bySegment.get(segment) ?? { promptTokens: 0, cachedTokens: 0 };
    const cached = Math.min(left, tokens);
    left -= cached;
    hits.promptTokens += tokens;
    hits.cachedTokens += cached;
    bySegment.set(segment, hits);
  }
}
