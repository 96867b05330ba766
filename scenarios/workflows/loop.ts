// repeat: passes of one list on one thread.
import { evaluate } from '../base/expression.ts';
import {
  type Around,
  type EnclosingList,
  indexed,
  type List,
  plainName,
  type Session,
  scopeOf,
} from './around.ts';
import type { RepeatStep } from './program.ts';
import { type Answer, type Ending, type Frame, NO_ANSWER } from './progress.ts';

/** repeat: passes on one thread, a number of times or until a draw says stop. */
export class RepeatFrame implements Frame {
  readonly parent: EnclosingList;
  private readonly session: Session;
  private readonly step: RepeatStep;
  private readonly around: Around;
  private times = 0;
  private pass = -1;
  private ready: { cause: string | null; answer: Answer } | null = null;
  private advancing = false;
  private list: List | null = null;

  constructor(session: Session, parent: EnclosingList, step: RepeatStep, around: Around) {
    this.session = session;
    this.parent = parent;
    this.step = step;
    this.around = around;
  }

  begin(cause: string | null): void {
    const { step, around, session } = this;
    const scope = scopeOf(around);
    const drawn =
      step.times === null ? step.max : session.draws.amount(step.times, around.place, 'count', true, scope);
    this.times = Math.min(drawn, step.max);
    this.next(cause, NO_ANSWER);
  }

  /** Passes that end in their own instant are taken in a loop, not one inside the other. */
  private next(cause: string | null, answer: Answer): void {
    this.ready = { cause, answer };
    if (this.advancing) return;
    this.advancing = true;
    for (let ready = this.takeReady(); ready !== null; ready = this.takeReady())
      this.startPass(ready.cause, ready.answer);
    this.advancing = false;
  }

  private takeReady(): { cause: string | null; answer: Answer } | null {
    const { ready } = this;
    this.ready = null;
    return ready;
  }

  private startPass(cause: string | null, answer: Answer): void {
    this.pass++;
    const { step, around, session } = this;
    if (this.isOver()) {
      if (this.list !== null) this.parent.adopt(this.list);
      this.parent.childEnded(0, { ok: true, answer }, cause);
      return;
    }
    const inner = {
      ...around,
      place: indexed(around.place, this.pass),
      iteration: this.pass,
      pass: { loop: plainName(step.name), pass: this.pass },
    };
    this.list = session.list(this, this.pass, step.steps, inner, this.list ?? undefined);
    this.list.begin(cause);
  }

  /** Nothing is asked of a first pass; a session that is being finalised has no further one. */
  private isOver(): boolean {
    const { pass, session } = this;
    if (pass >= this.times) return true;
    return pass > 0 && (session.host.isFinalizing || this.stopsAfter(pass - 1));
  }

  /** Whether the loop is over after a pass: by a draw, or by a condition on what its steps gave. */
  private stopsAfter(pass: number): boolean {
    const { step, around, session, list } = this;
    const place = indexed(around.place, pass);
    if (step.stopRatio !== null && session.draws.chance(step.stopRatio, place, 'stop')) return true;
    if (step.until === null || list === null) return false;
    const scope = scopeOf({ ...around, iteration: pass, answers: list.answers, prev: list.last.answer });
    const name = (wanted: string): number =>
      wanted === 'iteration' ? pass : session.draws.named(wanted, place, scope);
    return evaluate(step.until, { tokens: scope.tokens, name }) !== 0;
  }

  childEnded(_child: number, ending: Ending, cause: string | null): void {
    if (ending.ok) this.next(cause, ending.answer);
    else this.parent.childEnded(0, ending, cause);
  }

  cancel(): void {
    this.list?.cancel();
  }
}
