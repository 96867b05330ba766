// One budget of one holder (a session, a user, a tenant, an agent type): what of each limit is used, and what calls under
// way have reserved. Money is counted in whole 1e-9 USD, so that what is given back leaves exactly nothing.
import type { BudgetMeasure, BudgetRule } from '../../scenarios/formats/rules.ts';

export type Scope = 'session' | 'user' | 'tenant' | 'workflow';

/** What is reserved and settled; the wall clock of a session only passes. */
const WORDS: Readonly<Record<Exclude<BudgetMeasure, 'wallMs'>, string>> = {
  inputTokens: 'input tokens',
  outputTokens: 'output tokens',
  tokens: 'tokens',
  llmCalls: 'LLM calls',
  toolCalls: 'tool calls',
  usd: 'USD',
};
type Counted = keyof typeof WORDS;
const COUNTED = Object.keys(WORDS) as readonly Counted[];
const NANO = 1e9;

/** What calls take, a number for each measure in the order of `COUNTED`; money in 1e-9 USD. */
export type Amounts = Float64Array;
export const noAmounts = (): Amounts => new Float64Array(COUNTED.length);

/** What a call or a run of a tool takes: tokens, and USD. */
export interface BudgetUse {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly usd: number;
  readonly kind: 'llm' | 'tool';
}

/** Hot: written into `into`, which it gives back. `calls`: how often it counts as a call, of its kind. */
export function amountsOf(
  { inputTokens, outputTokens, usd, kind }: BudgetUse,
  calls: number,
  into: Amounts = noAmounts(),
): Amounts {
  into[0] = inputTokens;
  into[1] = outputTokens;
  into[2] = inputTokens + outputTokens;
  into[3] = kind === 'llm' ? calls : 0;
  into[4] = kind === 'llm' ? 0 : calls;
  into[5] = Math.round(usd * NANO);
  return into;
}

const unitOf = (measure: Counted): number => (measure === 'usd' ? NANO : 1);

/** One limit of an account as it stands, in the unit of its measure. */
export interface Standing {
  readonly scope: Scope;
  readonly measure: BudgetMeasure;
  readonly limit: number;
  readonly used: number;
  readonly reserved: number;
}

/** The limits of a rule, a row each: of one rule there are as many accounts as sessions. */
interface Limits {
  readonly measures: readonly Counted[];
  readonly places: Int32Array;
  readonly limits: Float64Array;
}
const known = new WeakMap<BudgetRule, Limits>();

function limitsOf(rule: BudgetRule): Limits {
  const found = known.get(rule);
  if (found !== undefined) return found;
  const measures = COUNTED.filter(measure => rule.limits[measure] !== undefined);
  const made = {
    measures,
    places: Int32Array.from(measures, measure => COUNTED.indexOf(measure)),
    limits: Float64Array.from(measures, measure =>
      Math.round((rule.limits[measure] as number) * unitOf(measure)),
    ),
  };
  known.set(rule, made);
  return made;
}

export class Account {
  readonly rule: BudgetRule;
  readonly scope: Scope;
  /** Columns, a row for each limit of the rule. */
  private readonly measures: readonly Counted[];
  /** Where the measure of a row stands among amounts. */
  private readonly places: Int32Array;
  private readonly limits: Float64Array;
  private readonly used: Float64Array;
  private readonly reserved: Float64Array;
  /** The window that `used` is of. */
  private window = 0;

  constructor(rule: BudgetRule, scope: Scope) {
    this.rule = rule;
    this.scope = scope;
    const { measures, places, limits } = limitsOf(rule);
    this.measures = measures;
    this.places = places;
    this.limits = limits;
    this.used = new Float64Array(this.measures.length);
    this.reserved = new Float64Array(this.measures.length);
  }

  /** A new window has nothing used; what is reserved is still to come. */
  roll(nowMs: number): void {
    const { perMs } = this.rule;
    const window = perMs === null ? 0 : Math.floor(nowMs / perMs);
    if (window <= this.window) return;
    this.window = window;
    this.used.fill(0);
  }

  /** Hot: row of the first limit that `amounts` would pass, its overdraw included; -1: none. */
  exceededBy(amounts: Amounts): number {
    const { overdrawRatio, onExceed } = this.rule;
    const stretch = onExceed === 'degrade' ? 1 + overdrawRatio : 1;
    for (let row = 0; row < this.limits.length; row++)
      if (this.after(row, amounts) > this.limits[row]! * stretch) return row;
    return -1;
  }

  /** Hot: row of the first limit whose soft share is spent, or that `amounts` would overdraw; -1: none. */
  softBy(amounts: Amounts): number {
    const { softRatio, onExceed } = this.rule;
    const soft = softRatio ?? Number.POSITIVE_INFINITY;
    for (let row = 0; row < this.limits.length; row++) {
      const limit = this.limits[row]!;
      if (this.used[row]! + this.reserved[row]! >= soft * limit) return row;
      if (onExceed === 'degrade' && this.after(row, amounts) > limit) return row;
    }
    return -1;
  }

  private after(row: number, amounts: Amounts): number {
    return this.used[row]! + this.reserved[row]! + amounts[this.places[row]!]!;
  }

  reserve(amounts: Amounts): void {
    for (let row = 0; row < this.reserved.length; row++) this.reserved[row]! += amounts[this.places[row]!]!;
  }

  release(amounts: Amounts): void {
    for (let row = 0; row < this.reserved.length; row++) this.reserved[row]! -= amounts[this.places[row]!]!;
  }

  /** `amounts` are used, of what was `reserved`, which ends. */
  settle(amounts: Amounts, reserved: Amounts): void {
    const { places } = this;
    for (let row = 0; row < places.length; row++) {
      const place = places[row]!;
      this.used[row]! += amounts[place]!;
      this.reserved[row]! -= reserved[place]!;
    }
  }

  use(amounts: Amounts): void {
    for (let row = 0; row < this.used.length; row++) this.used[row]! += amounts[this.places[row]!]!;
  }

  /** When the next window begins, ms of the run, if an empty one holds `amounts`; else Infinity. */
  freeMs(amounts: Amounts): number {
    const { perMs } = this.rule;
    const isTooLarge = this.limits.some((limit, row) => amounts[this.places[row]!]! > limit);
    return perMs === null || isTooLarge ? Number.POSITIVE_INFINITY : (this.window + 1) * perMs;
  }

  /** Something is reserved, and without it `amounts` would fit. */
  waitsForReserved(amounts: Amounts): boolean {
    const { places, limits, used, reserved } = this;
    return (
      reserved.some(each => each > 0) &&
      limits.every((limit, row) => used[row]! + amounts[places[row]!]! <= limit)
    );
  }

  standing(row: number): Standing {
    const measure = this.measures[row]!;
    const unit = unitOf(measure);
    const [limit, used, reserved] = [this.limits, this.used, this.reserved].map(each => each[row]! / unit);
    return { scope: this.scope, measure, limit: limit!, used: used!, reserved: reserved! };
  }

  standings(): Standing[] {
    return this.measures.map((_, row) => this.standing(row));
  }

  /** How a limit stands, in words. */
  words(row: number): string {
    const { limit, used, reserved } = this.standing(row);
    const words = WORDS[this.measures[row]!];
    return `${used} used and ${reserved} reserved of the ${limit} ${words} of its ${this.scope}`;
  }

  wants(row: number, amounts: Amounts): string {
    const wanted = amounts[this.places[row]!]! / unitOf(this.measures[row]!);
    return `${this.words(row)}, and this may take ${wanted}`;
  }
}
