// try: steps on a fork of the thread, and other steps on another fork when they fail.

import { textKey } from '../base/key.ts';
import { type Around, childPlace, type EnclosingList, type List, type Session } from './around.ts';
import type { TryStep } from './program.ts';
import { type Ending, type Frame, NO_ANSWER } from './progress.ts';

const ON_ERROR_KEY = textKey('on_error');

export class TryFrame implements Frame {
  readonly parent: EnclosingList;
  private readonly session: Session;
  private readonly step: TryStep;
  private readonly around: Around;
  private list: List | null = null;
  private failed = false;

  constructor(session: Session, parent: EnclosingList, step: TryStep, around: Around) {
    this.session = session;
    this.parent = parent;
    this.step = step;
    this.around = around;
  }

  get path(): string {
    return this.around.place.path;
  }

  begin(cause: string | null): void {
    const { session, step, around } = this;
    this.list = session.list(this, 0, step.steps, { ...around, threads: around.threads.fork() });
    this.list.begin(cause);
  }

  childEnded(_child: number, ending: Ending, cause: string | null): void {
    if (ending.ok) {
      this.parent.gather([this.list as List]);
      this.parent.childEnded(0, ending, cause);
    } else if (this.failed) {
      this.parent.childEnded(0, ending, cause);
    } else if (this.step.onError.length === 0) {
      this.parent.childEnded(0, { ok: true, answer: NO_ANSWER }, cause);
    } else {
      this.failed = true;
      this.recover(cause);
    }
  }

  private recover(cause: string | null): void {
    const { session, step, around } = this;
    const place = childPlace(around.place, ON_ERROR_KEY, 'on_error');
    this.list = session.list(this, 0, step.onError, { ...around, place, threads: around.threads.fork() });
    this.list.begin(cause);
  }

  cancel(): void {
    this.list?.cancel();
  }
}
