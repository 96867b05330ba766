// KVFlow: contexts that are needed again soon stay, those that are needed late or never go first; what has gone to a tier
// is fetched back before its call comes. The agent step graph is not told to the engine here: it learns it.
import { numberOptions } from '../../gateway/routing/options.ts';
import { type Change, defineRetentionPolicy, type RetentionCall, wholly } from './policy.ts';
import { type Context, Sessions, StepTable } from './sessions.ts';

const DEFAULTS = {
  /** A context is fetched when it is needed within so many calls of its session; 0: never. */
  prefetch_steps: 1,
  /** So long before it is expected, ms. */
  prefetch_ahead: 500,
};
/** Steps beyond which all is equally far; and what will never be needed. */
const STEPS_MAX = 1000;

/** What became of the contexts that one step of a workflow left. */
interface Past {
  returns: number;
  /** Over the returns. */
  steps: number;
  gapMs: number;
  /** Never gone on with. */
  losses: number;
}

/**
 * rank = -(steps to execution): the calls of its session until one goes on with the context, so that the largest goes
 * first. Expected from the past of (workflow, step): mean steps of the contexts that came back over the share that did,
 * and 1 while nothing is known; each call of the session that comes is a step less. A prefix of several contexts has the
 * rank of the nearest. A session that is over leaves what will never be needed.
 */
export default defineRetentionPolicy({
  name: 'kvflow',
  doc: 'Reuses first what is needed again last, by calls until then, and fetches from a tier what is needed next.',
  source:
    'KVFlow (arXiv 2507.07400): steps-to-execution and background prefetch; the graph learned, not given',
  create(options) {
    const { prefetch_steps, prefetch_ahead } = numberOptions('kvflow', options, DEFAULTS);
    const sessions = new Sessions();
    const pasts = new StepTable((): Past => ({ returns: 0, steps: 0, gapMs: 0, losses: 0 }));

    /** Steps from the end of a call of this step until its context is needed. */
    function expectedSteps(call: RetentionCall): number {
      const { returns, steps, losses } = pasts.of(call);
      if (returns + losses === 0) return 1;
      return returns === 0 ? STEPS_MAX : (steps * (returns + losses)) / (returns * returns);
    }
    const rankOf = (steps: number): number => -Math.min(STEPS_MAX, Math.max(1, Math.round(steps)));

    /** When to fetch what this call left, if it is needed next. */
    function prefetchMs(call: RetentionCall, fromMs: number, steps: number): { prefetchMs?: number } {
      const { returns, gapMs } = pasts.of(call);
      if (returns === 0 || prefetch_steps === 0 || Math.round(steps) > prefetch_steps) return {};
      return { prefetchMs: Math.max(fromMs, fromMs + gapMs / returns - prefetch_ahead) };
    }

    /** One more call of the session has come: the contexts that others go on with are a step nearer. */
    function nearer({ left, callsBefore }: Context, calls: number, atMs: number): Change[] {
      const expected = expectedSteps(left.call);
      const rank = rankOf(expected - (calls - callsBefore));
      const before = rankOf(expected - (calls - 1 - callsBefore));
      if (rank === before) return [];
      return [{ left, rank, untilMs: Number.POSITIVE_INFINITY, ...prefetchMs(left.call, atMs, -rank) }];
    }

    return {
      letGo(left) {
        sessions.letGo(left);
        const steps = expectedSteps(left.call);
        return { worth: wholly(rankOf(steps)), ...prefetchMs(left.call, left.atMs, steps) };
      },
      observe(event) {
        if (event.kind === 'session_ended') {
          const { contexts } = sessions.ended(event.session);
          for (const { left, isBack } of contexts) if (!isBack) pasts.of(left.call).losses += 1;
          return contexts.map(({ left }) => ({ left, rank: -STEPS_MAX, untilMs: Number.POSITIVE_INFINITY }));
        }
        if (event.kind !== 'arrived') return [];
        const back = sessions.arrived(event.call, event.atMs);
        if (back !== null) {
          const past = pasts.of(back.left.call);
          past.returns += 1;
          past.steps += back.steps;
          past.gapMs += back.gapMs;
        }
        const { contexts, calls } = sessions.get(event.call.session)!;
        return contexts.flatMap(context => (context.isBack ? [] : nearer(context, calls, event.atMs)));
      },
    };
  },
});
