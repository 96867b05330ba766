// What the winner must stand beside its steady traffic: a burst, more traffic than planned, a replica that is gone.
import type { Bound } from './bounds.ts';
import type { Evaluation, Evaluator, Trial } from './evaluate.ts';
import { keeps } from './kept.ts';
import { candidateOf } from './space.ts';
import type { Stretch } from './traffic.ts';

export interface Check {
  readonly name: 'burst' | 'growth' | 'replica-down';
  /** What it asks. */
  readonly words: string;
  /** Null: it makes no sense here; `words` says why. */
  readonly evaluation: Evaluation | null;
  /** Replicas with which it holds; null: as many as there are, or nobody knows of so many. */
  readonly holdsWith: number | null;
}

const BURST = { factor: 3, spanMaxMs: 60_000 } as const;
const GROWTH = 1.2;
/** Replicas that are tried on top where a check breaks. */
const MORE_MAX = 4;

export interface CheckOptions {
  readonly evaluator: Evaluator;
  readonly bound: Bound;
  readonly base: string;
  readonly replicas: number;
  readonly stretch: Stretch;
  readonly seeds: number;
  /** A burst needs arrivals by a clock. */
  readonly hasClock: boolean;
}

export async function checksOf(options: CheckOptions): Promise<Check[]> {
  const { replicas, stretch, hasClock, bound } = options;
  const spanMs = Math.round(Math.min(BURST.spanMaxMs, stretch.spanMs / 4));
  const burst = { atMs: stretch.warmMs + Math.round(stretch.spanMs / 4), spanMs, factor: BURST.factor };
  const least = bound.group.shape === 'split' ? 2 : 1;
  const asked: { name: Check['name']; words: string; missing: number; more: Partial<Trial> | null }[] = [
    {
      name: 'burst',
      words: hasClock
        ? `${BURST.factor} times the arrivals for ${Math.round(spanMs / 1000)} s`
        : 'a burst: agents that wait for their own answers make none',
      missing: 0,
      more: hasClock ? { burst } : null,
    },
    { name: 'growth', words: '20 % more traffic', missing: 0, more: { loadFactor: GROWTH } },
    {
      name: 'replica-down',
      words: replicas > least ? 'one replica down' : 'one replica down: nothing would be left to serve',
      missing: 1,
      more: replicas > least ? {} : null,
    },
  ];
  const known = await trials(options, asked, replicas);
  return Promise.all(
    asked.map(async ({ name, words, missing, more }, i): Promise<Check> => {
      const evaluation = known[i]!;
      if (evaluation === null || more === null)
        return { name, words, evaluation: null, holdsWith: name === 'replica-down' ? least + 1 : null };
      const isKept = keeps(evaluation);
      return { name, words, evaluation, holdsWith: isKept ? null : await enough(options, missing, more) };
    }),
  );
}

async function trials(
  { evaluator, bound, base, stretch, seeds }: CheckOptions,
  asked: readonly { missing: number; more: Partial<Trial> | null }[],
  replicas: number,
): Promise<(Evaluation | null)[]> {
  const real = asked.flatMap(({ missing, more }) =>
    more === null
      ? []
      : [{ candidate: candidateOf(bound.group, replicas - missing, bound, base), stretch, seeds, ...more }],
  );
  const results = await evaluator.evaluate(real);
  let at = 0;
  return asked.map(({ more }) => (more === null ? null : (results[at++] ?? null)));
}

/** The fewest on top with which it holds. */
async function enough(options: CheckOptions, missing: number, more: Partial<Trial>): Promise<number | null> {
  for (let extra = 1; extra <= MORE_MAX; extra++) {
    const [found] = await trials(options, [{ missing, more }], options.replicas + extra);
    if (found == null) return null;
    if (keeps(found)) return options.replicas + extra;
  }
  return null;
}
