// branch and agent: one inner list, on the same thread or on one of its own.
import { evaluate } from '../base/expression.ts';
import { type Around, type EnclosingList, type List, type Session, scopeOf } from './around.ts';
import type { AgentStep, BranchStep, Step } from './program.ts';
import { type Ending, type Frame, NO_ANSWER } from './progress.ts';
import { Thread, Threads } from './thread.ts';

/** A list whose end its enclosing list adopts: the taken case of a branch, the body of a sub-agent. */
export class InnerList implements Frame {
  readonly parent: EnclosingList;
  private readonly list: List;
  private readonly sharesThread: boolean;

  constructor(
    session: Session,
    parent: EnclosingList,
    steps: readonly Step[],
    around: Around,
    sharesThread: boolean,
  ) {
    this.parent = parent;
    this.sharesThread = sharesThread;
    this.list = session.list(this, 0, steps, around);
  }

  begin(cause: string | null): void {
    this.list.begin(cause);
  }

  childEnded(_child: number, ending: Ending, cause: string | null): void {
    if (ending.ok && this.sharesThread) this.parent.adopt(this.list);
    this.parent.childEnded(0, ending, cause);
  }

  cancel(): void {
    this.list.cancel();
  }
}

export function branchList(
  session: Session,
  parent: EnclosingList,
  step: BranchStep,
  around: Around,
): InnerList {
  const scope = scopeOf(around);
  const weighted = step.cases.every(each => each.weight !== null);
  const chosen = weighted
    ? session.draws.choice(
        step.cases.map(each => each.weight as number),
        around.place,
      )
    : step.cases.findIndex(
        each =>
          each.when === null ||
          evaluate(each.when, {
            tokens: scope.tokens,
            name: name =>
              name === 'iteration' ? scope.iteration : session.draws.named(name, around.place, scope),
          }) !== 0,
      );
  return new InnerList(session, parent, step.cases[chosen]?.steps ?? [], around, true);
}

/** A sub-agent: a list on a thread of its own, which sees none of its caller's answers. */
export function agentList(
  session: Session,
  parent: EnclosingList,
  step: AgentStep,
  around: Around,
): InnerList {
  const threads =
    step.context === 'fork'
      ? around.threads.fork()
      : new Threads(new Thread(step.prefix, step.context === 'last' ? around.prev.runs : []));
  const task = around.inTask ? around.task : around.place;
  const agentDepth = around.agentDepth + 1;
  const inside: Around = {
    ...around,
    threads,
    task,
    inTask: true,
    agentDepth,
    answers: null,
    prev: NO_ANSWER,
  };
  return new InnerList(session, parent, step.steps, inside, false);
}
