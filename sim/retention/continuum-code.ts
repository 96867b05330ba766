// Continuum as its released code does it: a fixed pin after steps whose tools were quick so far.
import { numberOptions } from '../../gateway/routing/options.ts';
import { type Change, defineRetentionPolicy, wholly } from './policy.ts';
import { Sessions, StepTable } from './sessions.ts';
import { PINNED } from './ttl.ts';

/** FIXED_THRESHOLD_CONTINUUM, ms. */
const DEFAULTS = { threshold: 2000 };

/**
 * Pins what a call leaves for `threshold` unless the mean of all gaps behind its step so far is longer; a step that never
 * came back counts as 0. The gap is from the end of a call to the arrival of the one that goes on with it. What a session
 * left is unpinned when it ends.
 */
export default defineRetentionPolicy({
  name: 'continuum-code',
  doc: 'Keeps what a call leaves for 2 s where the tools behind its step took no longer than that on average.',
  source:
    'Continuum, released code: vllm/v1/core/estimate_with_func.py, ToolCallEstimator.set_up_pin (arXiv 2511.02230)',
  create(options) {
    const { threshold } = numberOptions('continuum-code', options, DEFAULTS);
    const sessions = new Sessions();
    const gaps = new StepTable(() => ({ count: 0, sumMs: 0 }));
    return {
      letGo(left) {
        sessions.letGo(left);
        const { count, sumMs } = gaps.of(left.call);
        const meanMs = count === 0 ? 0 : sumMs / count;
        return { worth: meanMs > threshold ? wholly(0) : wholly(PINNED, left.atMs + threshold) };
      },
      observe(event) {
        if (event.kind === 'session_ended') return unpinned(sessions, event.session);
        if (event.kind !== 'arrived') return [];
        const back = sessions.arrived(event.call, event.atMs);
        if (back === null) return [];
        const past = gaps.of(back.left.call);
        past.count += 1;
        past.sumMs += back.gapMs;
        return [];
      },
    };
  },
});

/** All that a session that is over left is like any other. */
export const unpinned = (sessions: Sessions, session: string): Change[] =>
  sessions.ended(session).contexts.map(({ left }) => ({ left, rank: 0, untilMs: Number.POSITIVE_INFINITY }));
