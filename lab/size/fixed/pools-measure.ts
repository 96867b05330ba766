// What each pool of a run came near: its limits, and the promises as its own calls alone would keep them.
import { TallyCollector } from '../../../reports/tally/collect.ts';
import { judgeTally } from '../../../reports/tally/judge.ts';
import { Histogram } from '../../../scenarios/base/histogram.ts';
import type { Measure } from '../../grid/case.ts';
import { marginOf, usedOf } from '../kept.ts';
import limitsMeasure, { type Limits } from '../questions/limits-measure.ts';

export interface PoolPromises {
  readonly pool: string;
  /** Of the promise with the least room: that room over the target. Null: none is about its calls. */
  readonly marginRatio: number | null;
  readonly usedRatio: number | null;
  readonly promise: string | null;
}

export interface PoolsMeasured {
  readonly limits: Limits;
  readonly promises: readonly PoolPromises[];
}

/** What is over before so much of the window counts as the start. */
const START_RATIO = 1 / 3;

/** Promises of whole sessions are nobody's alone, and more GPUs are no cure for a cache that misses. */
const measure: Measure<PoolsMeasured> = (run, plan) => {
  const { assertions } = plan;
  const { calls, workflows } = run;
  const lastMs = workflows.reduce((last, { startMs }) => Math.max(last, startMs), 0);
  const byPool = new Map<string, TallyCollector>();
  for (const call of calls) {
    if (call.plannedMs < START_RATIO * lastMs || call.plannedMs > lastMs) continue;
    const [pool = ''] = call.pool.split('/');
    const tally = byPool.get(pool) ?? new TallyCollector(assertions);
    byPool.set(pool, tally);
    tally.onCall(call);
  }
  const promises = [...byPool].map(([pool, collector]): PoolPromises => {
    const results = judgeTally(assertions, collector.tally(1, [], new Histogram().toCounts()));
    let least: PoolPromises = { pool, marginRatio: null, usedRatio: null, promise: null };
    for (const [i, assertion] of assertions.entries()) {
      const { value, text } = results[i]!;
      if (value === null || assertion.subject.kind === 'cache_hit') continue;
      const marginRatio = marginOf(assertion, value);
      if (least.marginRatio === null || marginRatio < least.marginRatio)
        least = { pool, marginRatio, usedRatio: usedOf(assertion, value), promise: text };
    }
    return least;
  });
  return { limits: limitsMeasure(run, plan), promises: promises.sort((a, b) => (a.pool < b.pool ? -1 : 1)) };
};
export default measure;
