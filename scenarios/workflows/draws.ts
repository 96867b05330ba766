// The draws of one session: each is a pure function of the seed, the session and the place that asks (step path,
// iteration, purpose), so that no draw shifts another. A plan that was written out and edited overrides them by name.
import { pickIndex } from '../base/distributions.ts';
import { UserError } from '../base/errors.ts';
import { evaluate } from '../base/expression.ts';
import { extend, extendText, type Key, textKey, uniform } from '../base/key.ts';
import { type Amount, drawAmount, settle } from '../formats/amount.ts';

export type Purpose =
  | 'adds'
  | 'out'
  | 'reasoning'
  | 'latency'
  | 'result'
  | 'fail'
  | 'delay'
  | 'count'
  | 'width'
  | 'case'
  | 'stop'
  | 'segment'
  | 'limit';

const PURPOSES = new Map<Purpose, Key>(
  (
    [
      'adds',
      'out',
      'reasoning',
      'latency',
      'result',
      'fail',
      'delay',
      'count',
      'width',
      'case',
      'stop',
      'segment',
      'limit',
    ] as const
  ).map(purpose => [purpose, textKey(purpose)]),
);

/** The key of one decision at a place. */
export function decisionKey(place: Key, purpose: Purpose): Key {
  const key = PURPOSES.get(purpose) as Key;
  return extend(place, key.hi, key.lo);
}

/** Values by name, `path purpose`; filled when a plan is written out, read when one is given. */
export type DrawnValues = Record<string, number>;

/** Where a draw is made: its key, and its readable path for plans. */
export interface Place {
  readonly key: Key;
  readonly path: string;
}

/** What an amount sees where it stands. */
export interface AmountScope {
  tokens(step: string): number;
  /** Of the innermost repeat or map. */
  readonly iteration: number;
  /** Reasoning tokens of the call, for its `out` alone. */
  readonly reasoning?: number;
}

const builtIn = (name: string, scope: AmountScope): number | undefined =>
  name === 'iteration' ? scope.iteration : name === 'reasoning' ? scope.reasoning : undefined;

export class Draws {
  private readonly given: DrawnValues | null;
  private readonly log: DrawnValues | null;
  private readonly params: ReadonlyMap<string, Amount>;
  /** Nothing is given and nothing written down. */
  private readonly isPlain: boolean;

  constructor(
    params: ReadonlyMap<string, Amount>,
    options: { given?: DrawnValues | null; log?: DrawnValues | null } = {},
  ) {
    this.params = params;
    this.given = options.given ?? null;
    this.log = options.log ?? null;
    this.isPlain = this.given === null && this.log === null;
  }

  private settled(name: string, make: () => number): number {
    const value = this.given?.[name] ?? make();
    if (this.log !== null) this.log[name] = value;
    return value;
  }

  /** The value of an amount at a place; `whole` for counts and tokens (rounded, then clamped). */
  amount(amount: Amount, place: Place, purpose: Purpose, whole: boolean, scope: AmountScope): number {
    if (amount.kind === 'draw') {
      if (amount.of.kind === 'constant') return settle(amount, amount.of.value, whole);
      const draw = () => drawAmount(amount, uniform(decisionKey(place.key, purpose)), whole);
      // A name is made only for a plan that is written or read: most runs are neither.
      return this.isPlain ? draw() : this.settled(`${place.path} ${purpose}`, draw);
    }
    const value = evaluate(amount.expression, {
      tokens: scope.tokens,
      name: name => builtIn(name, scope) ?? this.param(name, place, purpose, scope),
    });
    return settle(amount, value, whole);
  }

  /** A parameter is drawn anew at each use: its key hangs under the place that uses it. */
  private param(name: string, place: Place, purpose: Purpose, scope: AmountScope): number {
    const amount = this.params.get(name);
    if (amount === undefined) return 0;
    if (amount.kind === 'expression') {
      const value = evaluate(amount.expression, {
        tokens: scope.tokens,
        name: inner =>
          inner === name ? 0 : (builtIn(inner, scope) ?? this.param(inner, place, purpose, scope)),
      });
      return settle(amount, value, false);
    }
    if (amount.of.kind === 'constant') return amount.of.value;
    const key = extendText(decisionKey(place.key, purpose), name);
    return this.settled(`${place.path} ${purpose}:${name}`, () => drawAmount(amount, uniform(key), false));
  }

  /** The value of a named parameter alone, for conditions. */
  named(name: string, place: Place, scope: AmountScope): number {
    return this.param(name, place, 'case', scope);
  }

  /** True with the given probability. */
  chance(ratio: number, place: Place, purpose: Purpose): boolean {
    if (ratio <= 0 || ratio >= 1) return ratio >= 1;
    return (
      this.settled(`${place.path} ${purpose}`, () =>
        uniform(decisionKey(place.key, purpose)) < ratio ? 1 : 0,
      ) === 1
    );
  }

  /** An index chosen by weight. */
  choice(weights: readonly number[], place: Place): number {
    if (weights.length === 1) return 0;
    const name = `${place.path} case`;
    const index = this.settled(name, () => pickIndex(weights, uniform(decisionKey(place.key, 'case'))));
    if (index < weights.length) return index;
    throw new UserError(`the plan's draw "${name}" is ${index} (WT1302), and there are ${weights.length}`, {
      hint: 'they count from 0',
    });
  }
}
