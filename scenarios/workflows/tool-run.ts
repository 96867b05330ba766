// One run of a tool: what is drawn for it, and what each further attempt would draw. Every draw is keyed by its place and
// attempt, so that it is the same whoever asks, and how often.
import { extend, type Key } from '../base/key.ts';
import type { ToolRules } from '../formats/rules.ts';
import { type AmountScope, type Draws, decisionKey, type Place } from './draws.ts';
import type { ToolStep } from './program.ts';
import { type Answer, NO_ANSWER, type PlannedTool } from './progress.ts';

/** What a run is drawn from. */
interface Drawn {
  readonly step: ToolStep;
  readonly place: Place;
  readonly draws: Draws;
  readonly scope: AmountScope;
}

const ATTEMPT = 0x61747470;
/** Attempts of one life of a session, more than any rule allows. */
const ATTEMPTS_OF_A_LIFE = 10_000;

/** As it is planned, and another time. */
export class ToolDraws implements PlannedTool {
  readonly delayMs: number;
  readonly fails: string | null;
  /** What it hands on as it is planned. */
  readonly answer: Answer;
  private readonly of: Drawn;
  private readonly from: number;

  /** `from`: the number of its first attempt. */
  constructor(of: Drawn, from = 0) {
    this.of = of;
    this.from = from;
    const place = attemptPlace(of.place, from);
    this.fails = this.failureAt(place);
    this.delayMs = this.delayAt(place);
    this.answer = this.answerAt(of.place, this.fails !== null);
  }

  get rules(): ToolRules {
    return this.of.step.rules;
  }
  get key(): Key {
    return this.of.place.key;
  }
  get argsKey(): Key {
    return this.of.place.args ?? this.of.place.key;
  }
  get stops(): boolean {
    return this.of.step.onFail === 'stop';
  }
  get resultTokens(): number {
    return this.answerOf(false).tokens;
  }

  attempt(n: number): { readonly delayMs: number; readonly fails: string | null } {
    if (n === 0) return this;
    const place = attemptPlace(this.of.place, this.from + n);
    return { delayMs: this.delayAt(place), fails: this.failureAt(place) };
  }

  answerOf(hasFailed: boolean): Answer {
    if (hasFailed === (this.fails !== null)) return this.answer;
    // A written plan gives the tokens of what was planned, under a name of its own.
    const { key, path } = this.of.place;
    return this.answerAt({ key, path: `${path}/otherwise` }, hasFailed);
  }

  anew(life: number): ToolDraws {
    return new ToolDraws(this.of, life * ATTEMPTS_OF_A_LIFE);
  }

  private failureAt(place: Place): string | null {
    const { draws, step } = this.of;
    return draws.chance(step.failRatio, place, 'fail') ? 'tool_failed' : null;
  }

  private delayAt(place: Place): number {
    const { draws, step, scope } = this.of;
    return draws.amount(step.latencyMs, place, 'latency', false, scope);
  }

  private answerAt(place: Place, hasFailed: boolean): Answer {
    const { draws, step, scope } = this.of;
    const tokens = draws.amount(
      hasFailed ? step.errorTokens : step.resultTokens,
      place,
      'result',
      true,
      scope,
    );
    if (tokens <= 0) return NO_ANSWER;
    return { runs: [{ key: decisionKey(place.key, 'result'), from: 0, tokens }], tokens };
  }
}

function attemptPlace({ key, path }: Place, n: number): Place {
  return n === 0 ? { key, path } : { key: extend(key, n, ATTEMPT), path: `${path}/attempt[${n}]` };
}
