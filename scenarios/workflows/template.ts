// Frames of a written workflow: a list runs its steps in order; fan-outs, loops, branches and sub-agents run lists.

import { evaluate } from '../base/expression.ts';
import { extend, type Key } from '../base/key.ts';
import { type PromptPart, type Run, runTokens } from '../formats/prompt.ts';
import { type Draws, decisionKey, type Place } from './draws.ts';
import type { AgentStep, BranchStep, FanOutStep, LlmStep, RepeatStep, Step, Workflow } from './program.ts';
import { childLists } from './program.ts';
import {
  type Answer,
  type Call,
  type Ending,
  type Frame,
  type Host,
  NO_ANSWER,
  type Program,
} from './progress.ts';
import type { Segments } from './segments.ts';
import { Thread, Threads } from './thread.ts';

/** What every frame of a session shares. */
interface Session {
  readonly host: Host;
  readonly draws: Draws;
  readonly segments: Segments;
}

/** Answers by step name; an inner list sees the outer ones. */
class Answers {
  private readonly outer: Answers | null;
  readonly own = new Map<string, Answer>();

  constructor(outer: Answers | null) {
    this.outer = outer;
  }

  get(name: string): Answer {
    return this.own.get(name) ?? this.outer?.get(name) ?? NO_ANSWER;
  }
}

/** Where a list runs: its place, its threads, and what its steps can see. */
interface Around {
  readonly place: Place;
  readonly threads: Threads;
  /** The outermost fan-out branch or sub-agent, or the session itself. */
  readonly task: Place;
  readonly inTask: boolean;
  /** Innermost repeat or map. */
  readonly iteration: number;
  /** Innermost repeat. */
  readonly pass: number | null;
  readonly answers: Answers | null;
}

/** The readable part of a step's name: a tool used twice in a list is `fetch#2` the second time. */
const plainName = (name: string): string => name.replace(/#\d+$/, '');

const childPlace = (place: Place, key: Key, name: string): Place => ({
  key: extend(place.key, key.hi, key.lo),
  path: place.path === '' ? name : `${place.path}/${name}`,
});

const indexed = (place: Place, index: number): Place => ({
  key: extend(place.key, index, 0x69746572),
  path: `${place.path}[${index}]`,
});

const joined = (answers: readonly Answer[]): Answer => ({
  runs: answers.flatMap(answer => answer.runs),
  tokens: answers.reduce((sum, answer) => sum + answer.tokens, 0),
});

/** A list of steps, one after the other. */
class ListFrame implements Frame {
  readonly parent: Frame;
  readonly answers: Answers;
  private readonly session: Session;
  private readonly child: number;
  private readonly steps: readonly Step[];
  private readonly around: Around;
  private index = -1;
  private running: { cancel(): void } | null = null;
  private before: { answer: Answer; heldBy: Thread | null } = { answer: NO_ANSWER, heldBy: null };
  private ending: { thread: Thread | null; appends: readonly Run[]; prefix: LlmStep['prefix'] } | null = null;

  constructor(
    session: Session,
    parent: Frame,
    child: number,
    steps: readonly Step[],
    around: Around,
    previous?: ListFrame,
  ) {
    this.session = session;
    this.parent = parent;
    this.child = child;
    this.steps = steps;
    this.around = around;
    this.answers = new Answers(around.answers);
    if (previous !== undefined) {
      // The next pass of a loop: `prev` is the last step of the pass before, and its answers stay in sight.
      this.before = previous.before;
      for (const [name, answer] of previous.answers.own) this.answers.own.set(name, answer);
    }
  }

  begin(cause: string | null): void {
    this.next(cause);
  }

  cancel(): void {
    this.running?.cancel();
    this.running = null;
  }

  private next(cause: string | null): void {
    this.index++;
    const step = this.steps[this.index];
    if (step === undefined) {
      this.parent.childEnded(this.child, { ok: true, answer: this.before.answer }, cause);
      return;
    }
    const place = childPlace(this.around.place, step.key, step.name);
    switch (step.verb) {
      case 'llm':
        this.startLlm(step, place, cause);
        break;
      case 'tool':
      case 'human':
      case 'wait':
        this.startDelay(step, place, cause);
        break;
      case 'parallel':
      case 'map':
        this.startFrame(
          new FanOutFrame(this.session, this, step, { ...this.around, place, answers: this.answers }),
          cause,
        );
        break;
      case 'repeat':
        this.startFrame(
          new RepeatFrame(this.session, this, step, { ...this.around, place, answers: this.answers }),
          cause,
        );
        break;
      case 'branch':
        this.startFrame(
          branchList(this.session, this, step, { ...this.around, place, answers: this.answers }),
          cause,
        );
        break;
      case 'agent':
        this.startFrame(agentList(this.session, this, step, { ...this.around, place, answers: null }), cause);
        break;
    }
  }

  private startFrame(frame: Frame & { begin(cause: string | null): void }, cause: string | null): void {
    this.running = frame;
    frame.begin(cause);
  }

  private leafHandle(row: number): { cancel(): void } {
    return { cancel: () => this.session.host.cancelLeaf(row) };
  }

  /** What amounts of a step see: `tokens(prev)` is 0 where the step's own thread already holds it. */
  private scope(thread: Thread | null) {
    return {
      iteration: this.around.iteration,
      tokens: (name: string): number =>
        name === 'prev'
          ? thread !== null && this.before.heldBy === thread
            ? 0
            : this.before.answer.tokens
          : this.answers.get(name).tokens,
    };
  }

  private startLlm(step: LlmStep, place: Place, cause: string | null): void {
    const { draws, host } = this.session;
    const home = this.around.threads.get(step.thread);
    const thread =
      step.context === 'fresh' ? new Thread(home.prefix) : step.context === 'fork' ? home.fork() : home;
    const scope = this.scope(step.context === 'fresh' ? null : home);
    const prefix = step.prefix ?? thread.prefix;
    const parts: PromptPart[] = [];
    const prompt: Run[] = [];
    const add = (segment: string, runs: readonly Run[]): void => {
      const tokens = runTokens(runs);
      if (tokens === 0) return;
      parts.push({ segment, tokens });
      prompt.push(...runs);
    };
    for (const segment of prefix) add(segment.name, this.session.segments.runs(segment, this.around.task));
    add('history', thread.runs);
    const reads = step.reads.flatMap(name => this.answers.get(name).runs);
    add('reads', reads);
    let addsTokens = draws.amount(step.adds, place, 'adds', true, scope);
    if (prompt.length === 0 && addsTokens === 0) addsTokens = 1;
    const adds: Run[] =
      addsTokens > 0 ? [{ key: decisionKey(place.key, 'adds'), from: 0, tokens: addsTokens }] : [];
    add('input', adds);
    const reasoningTokens = draws.amount(step.reasoning, place, 'reasoning', true, scope);
    const visibleTokens = Math.max(
      reasoningTokens > 0 ? 0 : 1,
      draws.amount(step.out, place, 'out', true, scope),
    );
    const reasoning: Run[] =
      reasoningTokens > 0
        ? [{ key: decisionKey(place.key, 'reasoning'), from: 0, tokens: reasoningTokens }]
        : [];
    const visible: Run[] =
      visibleTokens > 0 ? [{ key: decisionKey(place.key, 'out'), from: 0, tokens: visibleTokens }] : [];
    const call: Call = {
      step: step.name,
      role: step.role,
      model: step.model,
      iteration: this.around.pass,
      prompt,
      parts,
      promptTokens: runTokens(prompt),
      outputTokens: reasoningTokens + visibleTokens,
      reasoningTokens,
      output: [...reasoning, ...visible],
      warmTokens: 0,
    };
    // Reasoning is billed, then leaves the thread.
    this.ending = { thread, appends: [...reads, ...adds, ...visible], prefix };
    const answer: Answer = { runs: visible, tokens: visibleTokens };
    this.running = this.leafHandle(
      host.startLeaf(this, 0, { path: place.path, step: step.name, kind: 'llm', call, answer }, cause),
    );
  }

  private startDelay(
    step: Extract<Step, { verb: 'tool' | 'human' | 'wait' }>,
    place: Place,
    cause: string | null,
  ): void {
    const { draws, host } = this.session;
    const scope = this.scope(null);
    const content = (tokens: number): Answer =>
      tokens > 0 ? { runs: [{ key: decisionKey(place.key, 'result'), from: 0, tokens }], tokens } : NO_ANSWER;
    const leaf = { path: place.path, step: plainName(step.name), kind: step.verb, call: null };
    if (step.verb === 'tool') {
      const failed = draws.chance(step.failRatio, place, 'fail');
      const delayMs = draws.amount(step.latencyMs, place, 'latency', false, scope);
      const tokens = draws.amount(
        failed ? step.errorTokens : step.resultTokens,
        place,
        'result',
        true,
        scope,
      );
      const failure = failed ? { error: 'tool_failed', stops: step.onFail === 'stop' } : null;
      this.running = this.leafHandle(
        host.startLeaf(this, 0, { ...leaf, delayMs, failure, answer: content(tokens) }, cause),
      );
      return;
    }
    const delayMs = draws.amount(step.delayMs, place, 'delay', false, scope);
    const adds = draws.amount(step.adds, place, 'adds', true, scope);
    this.running = this.leafHandle(
      host.startLeaf(this, 0, { ...leaf, delayMs, failure: null, answer: content(adds) }, cause),
    );
  }

  childEnded(_child: number, ending: Ending, cause: string | null): void {
    this.running = null;
    const step = this.steps[this.index] as Step;
    if (!ending.ok) {
      this.skip(this.steps.slice(this.index + 1), this.around.place.path);
      this.parent.childEnded(this.child, ending, cause);
      return;
    }
    this.answers.own.set(plainName(step.name), ending.answer);
    let heldBy: Thread | null = null;
    if (this.ending !== null) {
      const { thread, appends, prefix } = this.ending;
      thread?.append(appends);
      if (thread !== null && prefix !== null) thread.prefix = prefix;
      heldBy = thread;
      this.ending = null;
    }
    if (step.verb !== 'wait') this.before = { answer: ending.answer, heldBy };
    this.next(cause);
  }

  /** `prev` as the enclosing list sees this one: a branch or a loop on the same thread keeps who holds the answer. */
  get last(): { answer: Answer; heldBy: Thread | null } {
    return this.before;
  }

  private skip(steps: readonly Step[], path: string): void {
    for (const step of steps) {
      const inner = path === '' ? step.name : `${path}/${step.name}`;
      if (step.verb === 'llm' || step.verb === 'tool' || step.verb === 'human' || step.verb === 'wait') {
        this.session.host.skip(
          inner,
          plainName(step.name),
          step.verb,
          step.verb === 'llm' ? step.role : null,
        );
      } else {
        for (const [index, list] of childLists(step).entries()) {
          this.skip(list, step.verb === 'parallel' || step.verb === 'branch' ? `${inner}[${index}]` : inner);
        }
      }
    }
  }

  /** Takes over what an inner list on the same thread left behind. */
  adopt(inner: ListFrame): void {
    for (const [name, answer] of inner.answers.own) this.answers.own.set(name, answer);
    this.ending = { thread: inner.last.heldBy, appends: [], prefix: null };
  }

  /** Answers of steps inside a fan-out: those of all branches, in order. */
  gather(lists: readonly ListFrame[]): void {
    const names = new Set(lists.flatMap(list => [...list.answers.own.keys()]));
    for (const name of names) {
      this.answers.own.set(name, joined(lists.flatMap(list => list.answers.own.get(name) ?? [])));
    }
  }
}

/** parallel and map: lists that run at once on forks of the thread, up to a width, joined by all, any or n. */
class FanOutFrame implements Frame {
  readonly parent: ListFrame;
  private readonly session: Session;
  private readonly step: FanOutStep;
  private readonly around: Around;
  private readonly lists: ListFrame[] = [];
  private readonly live = new Set<number>();
  private readonly completed = new Map<number, Answer>();
  private failures = 0;
  private count = 0;
  private width = 0;
  private need = 0;
  private over = false;

  constructor(session: Session, parent: ListFrame, step: FanOutStep, around: Around) {
    this.session = session;
    this.parent = parent;
    this.step = step;
    this.around = around;
  }

  begin(cause: string | null): void {
    const { step, around } = this;
    const { draws } = this.session;
    const scope = {
      iteration: around.iteration,
      tokens: (name: string) => around.answers?.get(name).tokens ?? 0,
    };
    this.count =
      step.over === null ? step.branches.length : draws.amount(step.over, around.place, 'count', true, scope);
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
    while (!this.over && this.live.size < this.width && this.lists.length < this.count) {
      const index = this.lists.length;
      const place = indexed(this.around.place, index);
      const steps = this.step.branches[this.step.over === null ? index : 0] as readonly Step[];
      const list = new ListFrame(this.session, this, index, steps, {
        ...this.around,
        place,
        threads: this.around.threads.fork(),
        task: this.around.inTask ? this.around.task : place,
        inTask: true,
        iteration: this.step.verb === 'map' ? index : this.around.iteration,
      });
      this.lists.push(list);
      this.live.add(index);
      list.begin(cause);
    }
  }

  childEnded(child: number, ending: Ending, cause: string | null): void {
    this.live.delete(child);
    if (this.over) return;
    if (ending.ok) this.completed.set(child, ending.answer);
    else this.failures++;
    if (this.completed.size >= this.need) {
      this.cancel();
      const order = [...this.completed.keys()].sort((a, b) => a - b);
      this.parent.gather(order.map(index => this.lists[index] as ListFrame));
      this.end({ ok: true, answer: joined(order.map(index => this.completed.get(index) as Answer)) }, cause);
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
    for (const index of [...this.live]) this.lists[index]?.cancel();
    this.live.clear();
  }
}

/** repeat: passes on one thread, a number of times or until a draw says stop. */
class RepeatFrame implements Frame {
  readonly parent: ListFrame;
  private readonly session: Session;
  private readonly step: RepeatStep;
  private readonly around: Around;
  private times = 0;
  private pass = -1;
  private list: ListFrame | null = null;

  constructor(session: Session, parent: ListFrame, step: RepeatStep, around: Around) {
    this.session = session;
    this.parent = parent;
    this.step = step;
    this.around = around;
  }

  begin(cause: string | null): void {
    const { step, around, session } = this;
    const scope = {
      iteration: around.iteration,
      tokens: (name: string) => around.answers?.get(name).tokens ?? 0,
    };
    const drawn =
      step.times === null ? step.max : session.draws.amount(step.times, around.place, 'count', true, scope);
    this.times = Math.min(drawn, step.max);
    this.next(cause, NO_ANSWER);
  }

  private next(cause: string | null, answer: Answer): void {
    this.pass++;
    const { step, around, session } = this;
    const stop =
      this.pass > 0 &&
      step.stopRatio !== null &&
      session.draws.chance(step.stopRatio, indexed(around.place, this.pass - 1), 'stop');
    if (this.pass >= this.times || stop) {
      if (this.list !== null) this.parent.adopt(this.list);
      this.parent.childEnded(0, { ok: true, answer }, cause);
      return;
    }
    const inner = {
      ...around,
      place: indexed(around.place, this.pass),
      iteration: this.pass,
      pass: this.pass,
    };
    this.list = new ListFrame(session, this, this.pass, step.steps, inner, this.list ?? undefined);
    this.list.begin(cause);
  }

  childEnded(_child: number, ending: Ending, cause: string | null): void {
    if (ending.ok) this.next(cause, ending.answer);
    else this.parent.childEnded(0, ending, cause);
  }

  cancel(): void {
    this.list?.cancel();
  }
}

/** A list whose end its enclosing list adopts: the taken case of a branch, the body of a sub-agent. */
class InnerList implements Frame {
  readonly parent: ListFrame;
  private readonly list: ListFrame;
  private readonly sharesThread: boolean;

  constructor(
    session: Session,
    parent: ListFrame,
    steps: readonly Step[],
    around: Around,
    sharesThread: boolean,
  ) {
    this.parent = parent;
    this.sharesThread = sharesThread;
    this.list = new ListFrame(session, this, 0, steps, around);
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

function branchList(session: Session, parent: ListFrame, step: BranchStep, around: Around): InnerList {
  const scope = {
    iteration: around.iteration,
    tokens: (name: string) => around.answers?.get(name).tokens ?? 0,
  };
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

function agentList(session: Session, parent: ListFrame, step: AgentStep, around: Around): InnerList {
  const threads = step.context === 'fork' ? around.threads.fork() : new Threads(new Thread(step.prefix));
  const task = around.inTask ? around.task : around.place;
  return new InnerList(session, parent, step.steps, { ...around, threads, task, inTask: true }, false);
}

/** The program of a written workflow for one session. */
export function templateProgram(workflow: Workflow, key: Key, draws: Draws, segments: Segments): Program {
  return {
    workflow: workflow.name,
    open(host, root) {
      const place: Place = { key, path: '' };
      return new ListFrame({ host, draws, segments }, root, 0, workflow.steps, {
        place,
        threads: new Threads(new Thread(workflow.prefix)),
        task: place,
        inTask: false,
        iteration: 0,
        pass: null,
        answers: null,
      });
    },
  };
}
