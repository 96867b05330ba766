// parallel and map: lists that run at once on forks of the thread.
import {
  type Around,
  type EnclosingList,
  indexed,
  joined,
  type List,
  type Session,
  scopeOf,
  skipSteps,
} from './around.ts';
import type { FanOutStep, Step } from './program.ts';
import { type Answer, type Ending, type Frame, NO_ANSWER } from './progress.ts';

/** parallel and map: lists that run at once on forks of the thread, up to a width, joined by all, any or n. */
export class FanOutFrame implements Frame {
  readonly parent: EnclosingList;
  private readonly session: Session;
  private readonly step: FanOutStep;
  private readonly around: Around;
  private readonly lists: List[] = [];
  /** By branch: it runs. */
  private readonly isLive: boolean[] = [];
  private liveCount = 0;
  /** By branch; null of one that did not complete. */
  private readonly answers: (Answer | null)[] = [];
  private completed = 0;
  private failures = 0;
  private count = 0;
  private width = 0;
  private need = 0;
  private over = false;
  private launching = false;

  constructor(session: Session, parent: EnclosingList, step: FanOutStep, around: Around) {
    this.session = session;
    this.parent = parent;
    this.step = step;
    this.around = around;
  }

  /** Where it stands and how it joins; known once it has begun. */
  get join(): {
    readonly path: string;
    readonly count: number;
    readonly need: number;
    readonly width: number;
  } {
    const { around, count, need, width } = this;
    return { path: around.place.path, count, need, width };
  }

  /** Whether a branch has ended well. */
  hasEnded(branch: number): boolean {
    return this.answers[branch] != null;
  }

  /** For whoever lists all that may run: it ends when every branch has. */
  waitForAll(): void {
    this.need = this.count;
  }

  begin(cause: string | null): void {
    const { step, around } = this;
    const { draws } = this.session;
    const scope = scopeOf(around);
    const count =
      step.over === null ? step.branches.length : draws.amount(step.over, around.place, 'count', true, scope);
    this.count = step.over !== null && this.session.host.isFinalizing ? Math.min(1, count) : count;
    this.session.takeSteps(this.count);
    const width =
      step.maxParallel === null
        ? this.count
        : draws.amount(step.maxParallel, around.place, 'width', true, scope);
    this.width = Math.max(1, width);
    this.need =
      step.join === 'all'
        ? this.count
        : step.join === 'any'
          ? Math.min(1, this.count)
          : Math.min(step.join, this.count);
    if (this.count === 0) {
      this.end({ ok: true, answer: NO_ANSWER }, cause);
      return;
    }
    this.launch(cause);
  }

  private launch(cause: string | null): void {
    // A branch may end while it is being launched: childEnded then only takes note, and this loop goes on.
    if (this.launching) return;
    this.launching = true;
    while (!this.over && this.liveCount < this.width && this.lists.length < this.count) {
      const index = this.lists.length;
      const place = indexed(this.around.place, index);
      const steps = this.stepsOf(index);
      const list = this.session.list(this, index, steps, {
        ...this.around,
        place,
        threads: this.around.threads.fork(),
        task: this.around.inTask ? this.around.task : place,
        inTask: true,
        iteration: this.step.verb === 'map' ? index : this.around.iteration,
      });
      this.lists.push(list);
      this.isLive.push(true);
      this.answers.push(null);
      this.liveCount += 1;
      list.begin(cause);
    }
    this.launching = false;
  }

  childEnded(child: number, ending: Ending, cause: string | null): void {
    if (this.over) return;
    this.isLive[child] = false;
    this.liveCount -= 1;
    if (ending.ok) {
      this.answers[child] = ending.answer;
      this.completed += 1;
    } else this.failures++;
    if (this.step.over !== null && this.session.host.isFinalizing) this.endLaunching();
    if (this.completed >= this.need) {
      this.cancel();
      this.parent.gather(this.lists.filter((_, index) => this.answers[index] !== null));
      this.end({ ok: true, answer: joined(this.answers.filter(answer => answer !== null)) }, cause);
    } else if (this.count - this.failures < this.need) {
      this.cancel();
      this.end(ending, cause);
    } else {
      this.launch(cause);
    }
  }

  private end(ending: Ending, cause: string | null): void {
    this.over = true;
    this.parent.childEnded(0, ending, cause);
  }

  cancel(): void {
    this.over = true;
    for (const [index, list] of this.lists.entries()) if (this.isLive[index]) list.cancel();
    this.isLive.fill(false);
    this.liveCount = 0;
    this.endLaunching();
  }

  /** Branches that have not begun never do; the join waits for what has. */
  private endLaunching(): void {
    for (let index = this.lists.length; index < this.count; index++) {
      skipSteps(this.session.host, this.stepsOf(index), indexed(this.around.place, index).path);
    }
    this.count = this.lists.length;
    this.need = Math.min(this.need, this.count);
  }

  private stepsOf(index: number): readonly Step[] {
    return this.step.branches[this.step.over === null ? index : 0] as readonly Step[];
  }
}
