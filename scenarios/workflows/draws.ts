// The draws of one session: each is a pure function of the seed, the session and the place that asks (step path,
// iteration, purpose), so that no draw shifts another. A plan that was written out and edited overrides them by name.
import { pickIndex } from '../base/distributions.ts';
import { UserError } from '../base/errors.ts';
import { type ExpressionScope, evaluate } from '../base/expression.ts';
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
  /** Of what is asked there, where that was asked elsewhere before; absent: the place's own key. */
  readonly args?: Key;
}

/** What an amount sees where it stands. */
export interface AmountScope {
  tokens(step: string): number;
  /** Of the innermost repeat or map. */
  readonly iteration: number;
  /** Reasoning tokens of the call, for its `out` alone. */
  readonly reasoning?: number | undefined;
}

const builtIn = (name: string, scope: AmountScope): number | undefined =>
  name === 'iteration' ? scope.iteration : name === 'reasoning' ? scope.reasoning : undefined;

/** What the expression of an amount sees. */
class Names implements ExpressionScope {
  private readonly draws: Draws;
  private readonly place: Place;
  private readonly purpose: Purpose;
  private readonly scope: AmountScope;
  /** The parameter whose expression this is: it does not see itself. */
  private readonly hidden: string | null;

  constructor(draws: Draws, place: Place, purpose: Purpose, scope: AmountScope, hidden: string | null) {
    this.draws = draws;
    this.place = place;
    this.purpose = purpose;
    this.scope = scope;
    this.hidden = hidden;
  }

  tokens(step: string): number {
    return this.scope.tokens(step);
  }
  name(name: string): number {
    if (name === this.hidden) return 0;
    return builtIn(name, this.scope) ?? this.draws.param(name, this.place, this.purpose, this.scope);
  }
}

export class Draws {
  private readonly given: DrawnValues | null;
  private readonly log: DrawnValues | null;
  private readonly params: ReadonlyMap<string, Amount>;

  constructor(
    params: ReadonlyMap<string, Amount>,
    options: { given?: DrawnValues | null; log?: DrawnValues | null } = {},
  ) {
    this.params = params;
    this.given = options.given ?? null;
    this.log = options.log ?? null;
  }

  /** What the written plan says instead, if one is given. */
  private settled(drawn: number, { path }: Place, what: string, param = ''): number {
    // A name is made only for a plan that is written or read: most runs are neither.
    if (this.given === null && this.log === null) return drawn;
    const name = `${path} ${what}${param}`;
    const value = this.given?.[name] ?? drawn;
    if (this.log !== null) this.log[name] = value;
    return value;
  }

  /** The value of an amount at a place; `whole` for counts and tokens (rounded, then clamped). */
  amount(amount: Amount, place: Place, purpose: Purpose, whole: boolean, scope: AmountScope): number {
    if (amount.kind === 'draw') {
      if (amount.of.kind === 'constant') return settle(amount, amount.of.value, whole);
      const drawn = drawAmount(amount, uniform(decisionKey(place.key, purpose)), whole);
      return this.settled(drawn, place, purpose);
    }
    return settle(amount, evaluate(amount.expression, new Names(this, place, purpose, scope, null)), whole);
  }

  /** A parameter is drawn anew at each use: its key hangs under the place that uses it. */
  param(name: string, place: Place, purpose: Purpose, scope: AmountScope): number {
    const amount = this.params.get(name);
    if (amount === undefined) return 0;
    if (amount.kind === 'expression') {
      const value = evaluate(amount.expression, new Names(this, place, purpose, scope, name));
      return settle(amount, value, false);
    }
    if (amount.of.kind === 'constant') return amount.of.value;
    const key = extendText(decisionKey(place.key, purpose), name);
    return this.settled(drawAmount(amount, uniform(key), false), place, purpose, `:${name}`);
  }

  /** The value of a named parameter alone, for conditions. */
  named(name: string, place: Place, scope: AmountScope): number {
    return this.param(name, place, 'case', scope);
  }

  /** True with the given probability. */
  chance(ratio: number, place: Place, purpose: Purpose): boolean {
    if (ratio <= 0 || ratio >= 1) return ratio >= 1;
    const drawn = uniform(decisionKey(place.key, purpose)) < ratio ? 1 : 0;
    return this.settled(drawn, place, purpose) === 1;
  }

  /** An index chosen by weight. */
  choice(weights: readonly number[], place: Place): number {
    if (weights.length === 1) return 0;
    const drawn = pickIndex(weights, uniform(decisionKey(place.key, 'case')));
    const index = this.settled(drawn, place, 'case');
    if (index < weights.length) return index;
    throw new UserError(
      `the plan's draw "${place.path} case" is ${index} (WT1302), and there are ${weights.length}`,
      {
        hint: 'they count from 0',
      },
    );
  }
}
