// Written workflows: a list runs its steps one after the other; leaves start here, blocks in files of their own.
import { UserError } from '../base/errors.ts';
import { type Key, textKey } from '../base/key.ts';
import {
  type PromptMakeup,
  type PromptPart,
  type Retention,
  type Run,
  runTokens,
} from '../formats/prompt.ts';
import {
  Answers,
  type Around,
  again,
  childPlace,
  type EnclosingList,
  holdsFinal,
  joined,
  type Last,
  type List,
  plainName,
  type Session,
  skipSteps,
} from './around.ts';
import { type AmountScope, type Draws, decisionKey, type Place, type Purpose } from './draws.ts';
import { FanOutFrame } from './fan-out.ts';
import { agentList, branchList } from './inner-list.ts';
import { RepeatFrame } from './loop.ts';
import type {
  AgentStep,
  BlockStep,
  CompactStep,
  LlmStep,
  PauseStep,
  Step,
  ToolStep,
  Workflow,
} from './program.ts';
import {
  type Answer,
  type Call,
  type Ending,
  type Frame,
  type Host,
  NO_ANSWER,
  type Program,
  SKIPPED,
} from './progress.ts';
import type { Runaway } from './runaway.ts';
import type { Segments } from './segments.ts';
import { Thread, Threads } from './thread.ts';
import { ToolDraws } from './tool-run.ts';
import { TryFrame } from './try.ts';
import { WrittenCall } from './written-call.ts';

/** What a call sends: how it is put together, its labelled parts, and what of it is new to the thread. */
interface Prompt {
  readonly makeup: PromptMakeup;
  readonly parts: readonly PromptPart[];
  readonly reads: readonly Run[];
  readonly adds: readonly Run[];
  readonly promptTokens: number;
  readonly retention: readonly Retention[] | undefined;
}

/** Where a call is made. */
interface On {
  readonly place: Place;
  readonly thread: Thread;
  readonly scope: StepScope;
}

/** What amounts of a step see: `tokens(prev)` is 0 where the step's own thread already holds it. */
class StepScope implements AmountScope {
  readonly iteration: number;
  reasoning: number | undefined = undefined;
  private readonly answers: Answers;
  private readonly prevTokens: number;

  constructor(iteration: number, answers: Answers, prevTokens: number) {
    this.iteration = iteration;
    this.answers = answers;
    this.prevTokens = prevTokens;
  }

  tokens(name: string): number {
    return name === 'prev' ? this.prevTokens : this.answers.get(name).tokens;
  }
}

const COMPACT_KEY = textKey('compact');
const NO_RUNS: readonly Run[] = [];
const NO_LEAF = -1;

/** New content of a step. */
const contentOf = ({ key }: Place, purpose: Purpose, tokens: number): readonly Run[] =>
  tokens > 0 ? [{ key: decisionKey(key, purpose), from: 0, tokens }] : NO_RUNS;

const NO_PARTS: readonly PromptPart[] = [];
const partOf = (segment: string, tokens: number): readonly PromptPart[] =>
  tokens > 0 ? [{ segment, tokens }] : NO_PARTS;

/** A list of steps, one after the other. */
class ListFrame implements List, EnclosingList {
  readonly parent: Frame;
  readonly answers: Answers;
  private readonly session: Session;
  private readonly child: number;
  private readonly steps: readonly Step[];
  private readonly around: Around;
  private index = -1;
  /** Runs of the step before this one; above 0 in a session that runs away. */
  private repetition = 0;
  private ready: { cause: string | null } | null = null;
  private advancing = false;
  /** Of a block that runs, and the row of a leaf. */
  private running: Frame | null = null;
  private leaf = NO_LEAF;
  private before: Last = { answer: NO_ANSWER, heldBy: null };
  /** What the end of the running step does to its thread; gives the thread that then holds the answer. */
  private settle: ((answer: Answer) => Thread | null) | null = null;
  /** What goes on when the running call was only in preparation of its step. */
  private resume: ((cause: string | null) => void) | null = null;

  constructor(
    session: Session,
    parent: Frame,
    child: number,
    steps: readonly Step[],
    around: Around,
    previous?: List,
  ) {
    this.session = session;
    this.parent = parent;
    this.child = child;
    this.steps = steps;
    this.around = around;
    // The next pass of a loop: `prev` is the last step of the pass before, and its answers stay in sight.
    this.answers = new Answers(around.answers, previous?.answers.own);
    if (previous !== undefined) this.before = previous.last;
  }

  begin(cause: string | null): void {
    this.next(cause);
  }

  cancel(): void {
    this.running?.cancel();
    this.running = null;
    if (this.leaf !== NO_LEAF) this.session.host.cancelLeaf(this.leaf);
    this.leaf = NO_LEAF;
    this.skipRest();
  }

  /** Steps that end in their own instant are taken in a loop, not one inside the other. */
  private next(cause: string | null): void {
    this.ready = { cause };
    if (this.advancing) return;
    this.advancing = true;
    for (let ready = this.takeReady(); ready !== null; ready = this.takeReady()) this.startNext(ready.cause);
    this.advancing = false;
  }

  private takeReady(): { cause: string | null } | null {
    const { ready } = this;
    this.ready = null;
    return ready;
  }

  private startNext(cause: string | null): void {
    if (this.runsAgain()) this.repetition++;
    else {
      this.index++;
      this.repetition = 0;
    }
    const step = this.steps[this.index];
    if (step === undefined) {
      this.parent.childEnded(this.child, { ok: true, answer: this.before.answer }, cause);
      return;
    }
    if (this.isLeftOut(step)) {
      this.leaveOut(step, cause);
      return;
    }
    this.session.takeSteps(1);
    const place = this.placeOf(step);
    switch (step.verb) {
      case 'llm':
        this.startLlm(step, place, cause);
        break;
      case 'compact':
        this.startCompact(step, { place, thread: this.around.threads.get(step.thread), cause });
        break;
      case 'tool':
      case 'human':
      case 'wait':
        this.startDelay(step, place, cause);
        break;
      default:
        this.startBlock(step, place, cause);
    }
  }

  private runsAgain(): boolean {
    const { runaway, host } = this.session;
    const step = this.steps[this.index];
    if (runaway === null || step === undefined || host.isFinalizing) return false;
    return runaway.steps.has(step) && this.repetition + 1 < runaway.times;
  }

  private placeOf(step: Step): Place {
    const place = childPlace(this.around.place, step.key, step.name);
    const { runaway } = this.session;
    if (runaway === null || this.repetition === 0) return place;
    return again(place, this.repetition, runaway.asksTheSame);
  }

  private isLeftOut(step: Step): boolean {
    return this.session.host.isFinalizing && !holdsFinal(step);
  }

  /** As if it were not in the list. */
  private leaveOut(step: Step, cause: string | null): void {
    skipSteps(this.session.host, [step], this.around.place.path);
    this.next(cause);
  }

  private startBlock(step: BlockStep, place: Place, cause: string | null): void {
    const { session } = this;
    const around: Around = { ...this.around, place, answers: this.answers, prev: this.before.answer };
    switch (step.verb) {
      case 'parallel':
      case 'map':
        this.startFrame(new FanOutFrame(session, this, step, around), cause);
        break;
      case 'repeat':
        this.startFrame(new RepeatFrame(session, this, step, around), cause);
        break;
      case 'branch':
        this.startFrame(branchList(session, this, step, around), cause);
        break;
      case 'try':
        this.startFrame(new TryFrame(session, this, step, around), cause);
        break;
      case 'agent':
        // A sub-agent sees nothing of its caller but, perhaps, a fork of the thread or the last result.
        this.startAgent(step, around, cause);
        break;
    }
  }

  private startAgent(step: AgentStep, around: Around, cause: string | null): void {
    const { session } = this;
    const refusal = session.host.refusesAgent(around.place.path, around.agentDepth + 1);
    if (refusal === null) {
      this.startFrame(agentList(session, this, step, around), cause);
      return;
    }
    skipSteps(session.host, [step], this.around.place.path);
    this.childEnded(0, { ok: false, error: refusal }, cause);
  }

  private startFrame(frame: Frame & { begin(cause: string | null): void }, cause: string | null): void {
    this.running = frame;
    frame.begin(cause);
  }

  private scope(holdsPrev: boolean): StepScope {
    return new StepScope(this.around.iteration, this.answers, holdsPrev ? 0 : this.before.answer.tokens);
  }

  private threadOf(step: LlmStep): Thread {
    const home = this.around.threads.get(step.thread);
    switch (step.context) {
      case 'main':
        return home;
      case 'fork':
        return home.fork();
      case 'fresh':
        return new Thread(home.prefix);
      case 'last':
        return new Thread(home.prefix, this.before.answer.runs);
    }
  }

  private startLlm(step: LlmStep, place: Place, cause: string | null): void {
    const { compactAt } = step;
    const home = this.around.threads.get(step.thread);
    const thread = this.threadOf(step);
    const holdsPrev = step.context === 'last' || (step.context !== 'fresh' && this.before.heldBy === home);
    const scope = this.scope(holdsPrev);
    const on = { place, thread, scope };
    const made = this.promptOf(step, on);
    if (compactAt !== null && thread.tokens > 0 && !this.session.host.isFinalizing) {
      const limit = this.session.draws.amount(compactAt.tokens, place, 'limit', true, scope);
      if (made.promptTokens > limit) {
        this.resume = from => this.sendLlm(step, on, this.promptOf(step, on), from);
        const inner = childPlace(place, COMPACT_KEY, 'compact');
        this.startCompact(compactAt.by, { place: inner, thread, cause });
        return;
      }
    }
    this.sendLlm(step, on, made, cause);
  }

  /** The prompt of a call: prefix segments, history, reads, and what is new. */
  private promptOf(
    step: { prefix: LlmStep['prefix']; reads: readonly string[]; adds: LlmStep['adds'] },
    { place, thread, scope }: On,
  ): Prompt {
    const { draws, segments, runaway } = this.session;
    const {
      runs: head,
      parts: before,
      tokens,
      retention,
    } = segments.head(step.prefix ?? thread.prefix, this.around.task);
    const reads = step.reads.length === 0 ? NO_RUNS : step.reads.flatMap(name => this.answers.get(name).runs);
    const readTokens = runTokens(reads);
    const oldTokens = tokens + thread.tokens + readTokens;
    const drawnTokens = draws.amount(step.adds, place, 'adds', true, scope);
    const addsTokens = this.repetition === 0 ? drawnTokens : drawnTokens * (runaway?.addsTimes ?? 1);
    const adds = contentOf(place, 'adds', oldTokens === 0 ? Math.max(1, addsTokens) : addsTokens);
    const newTokens = runTokens(adds);
    const promptTokens = oldTokens + newTokens;
    const parts = before.concat(
      partOf('history', thread.tokens),
      partOf('reads', readTokens),
      partOf('input', newTokens),
    );
    const tail = reads.length === 0 ? adds : reads.concat(adds);
    const makeup = { head, thread: thread.runs, threadRuns: thread.runs.length, tail };
    return { makeup, parts, reads, adds, promptTokens, retention };
  }

  private sendLlm(
    step: LlmStep,
    { place, thread, scope }: On,
    { makeup, parts, reads, adds, promptTokens, retention }: Prompt,
    cause: string | null,
  ): void {
    const { draws } = this.session;
    const { pass } = this.around;
    this.session.takePieces(makeup.head.length + makeup.threadRuns + makeup.tail.length);
    const drawnTokens = draws.amount(step.reasoning, place, 'reasoning', true, scope);
    const reasoningTokens = Math.min(drawnTokens, step.maxTokens);
    scope.reasoning = reasoningTokens;
    const visibleTokens = Math.min(
      Math.max(reasoningTokens > 0 ? 0 : 1, draws.amount(step.out, place, 'out', true, scope)),
      step.maxTokens - reasoningTokens,
    );
    const visible = contentOf(place, 'out', visibleTokens);
    // Reasoning is billed, then leaves the thread.
    this.settle = answer => {
      thread.append(reads);
      thread.append(adds);
      thread.append(answer.runs);
      thread.prefix = step.prefix ?? thread.prefix;
      return thread;
    };
    this.startCall(
      new WrittenCall({
        step: plainName(step.name),
        role: step.role,
        model: step.model,
        priority: step.priority,
        iteration: pass?.pass ?? null,
        loop: pass?.loop ?? null,
        makeup,
        parts,
        retention,
        promptTokens,
        outputTokens: reasoningTokens + visibleTokens,
        reasoningTokens,
        output:
          reasoningTokens > 0 ? [...contentOf(place, 'reasoning', reasoningTokens), ...visible] : visible,
        rules: step.rules,
        argsKey: place.args ?? place.key,
        agentDepth: this.around.agentDepth,
      }),
      { place, cause, answer: { runs: visible, tokens: visibleTokens } },
    );
  }

  /** The call that summarises a thread; at its end the thread holds the kept results and the summary. */
  private startCompact(
    step: CompactStep,
    { place, thread, cause }: { place: Place; thread: Thread; cause: string | null },
  ): void {
    const scope = this.scope(this.before.heldBy === thread);
    const { pass } = this.around;
    const { makeup, parts, promptTokens, retention } = this.promptOf(
      { prefix: null, reads: [], adds: step.adds },
      { place, thread, scope },
    );
    const tokens = Math.max(1, this.session.draws.amount(step.out, place, 'out', true, scope));
    const summary = contentOf(place, 'out', tokens);
    const kept = step.keep.flatMap(name => this.answers.get(name).runs);
    this.settle = answer => {
      thread.replace([...kept, ...answer.runs]);
      return thread;
    };
    this.startCall(
      new WrittenCall({
        step: this.resume === null ? plainName(step.name) : `${plainName(step.name)}/compact`,
        role: 'summarizer',
        model: step.model,
        priority: step.priority,
        iteration: pass?.pass ?? null,
        loop: pass?.loop ?? null,
        makeup,
        parts,
        retention,
        promptTokens,
        outputTokens: tokens,
        reasoningTokens: 0,
        output: summary,
        rules: step.rules,
        argsKey: place.args ?? place.key,
        agentDepth: this.around.agentDepth,
      }),
      { place, cause, answer: { runs: summary, tokens } },
    );
  }

  private startCall(
    call: Call,
    { place, cause, answer }: { place: Place; cause: string | null; answer: Answer },
  ): void {
    const leaf = {
      path: place.path,
      step: call.step,
      kind: 'llm' as const,
      call,
      delayMs: 0,
      answer,
      tool: null,
    };
    this.leaf = this.session.host.startLeaf(this, 0, leaf, cause);
  }

  private startDelay(step: ToolStep | PauseStep, place: Place, cause: string | null): void {
    const { draws, host } = this.session;
    const scope = this.scope(false);
    const leaf = { path: place.path, step: plainName(step.name), kind: step.verb, call: null };
    if (step.verb === 'tool') {
      const tool = new ToolDraws({ step, place, draws, scope });
      const { delayMs, answer } = tool;
      this.leaf = host.startLeaf(this, 0, { ...leaf, delayMs, answer, tool }, cause);
    } else {
      const delayMs = draws.amount(step.delayMs, place, 'delay', false, scope);
      const tokens = draws.amount(step.adds, place, 'adds', true, scope);
      const answer = tokens > 0 ? { runs: contentOf(place, 'result', tokens), tokens } : NO_ANSWER;
      this.leaf = host.startLeaf(this, 0, { ...leaf, delayMs, answer, tool: null }, cause);
    }
  }

  childEnded(_child: number, ending: Ending, cause: string | null): void {
    this.running = null;
    this.leaf = NO_LEAF;
    const { settle, resume } = this;
    this.settle = null;
    const step = this.steps[this.index] as Step;
    if (!ending.ok) {
      this.skipRest();
      this.parent.childEnded(this.child, ending, cause);
      return;
    }
    this.resume = null;
    const heldBy = ending === SKIPPED ? null : (settle?.(ending.answer) ?? null);
    if (resume !== null) {
      if (this.isLeftOut(step)) this.leaveOut(step, cause);
      else resume(cause);
      return;
    }
    this.answers.own.set(plainName(step.name), ending.answer);
    if (step.verb !== 'wait') this.before = { answer: ending.answer, heldBy };
    this.next(cause);
  }

  /** `prev` as the enclosing list sees this one: a branch or a loop on the same thread keeps who holds the answer. */
  get last(): Last {
    return this.before;
  }

  /** A step whose compaction did not end well never started itself. */
  private skipRest(): void {
    const from = this.resume === null ? this.index + 1 : this.index;
    skipSteps(this.session.host, this.steps.slice(from), this.around.place.path);
  }

  /** Takes over what an inner list on the same thread left behind. */
  adopt(inner: List): void {
    for (const [name, answer] of inner.answers.own) this.answers.own.set(name, answer);
    this.settle = () => inner.last.heldBy;
  }

  /** Answers of steps inside a fan-out: those of all branches, in order. */
  gather(lists: readonly List[]): void {
    const gathered = new Map<string, Answer[]>();
    for (const { answers } of lists)
      answers.own.forEach((answer, name) => {
        const known = gathered.get(name);
        if (known === undefined) gathered.set(name, [answer]);
        else known.push(answer);
      });
    for (const [name, all] of gathered) this.answers.own.set(name, joined(all));
  }
}

/** Steps and branches that a session starts, and pieces (runs) of all its prompts together: beyond, it would not end in our time. */
const MAX_STEPS = 500_000;
const MAX_PIECES = 30_000_000;

/** Counts up to a limit; `hint` says how to stay below it. */
function upTo(most: number, what: string, hint: string): (count: number) => void {
  let taken = 0;
  return count => {
    taken += count;
    if (taken > most) throw new UserError(`${what} (WT1109), more than ${most}`, { hint });
  };
}

/** Whose session it is, and what it draws. */
export interface TemplateSession {
  readonly key: Key;
  readonly draws: Draws;
  readonly segments: Segments;
  /** What it does wrong; null: nothing. */
  readonly runaway: Runaway | null;
}

/** The program of a written workflow for one session. */
export function templateProgram(
  workflow: Workflow,
  { key, draws, segments, runaway }: TemplateSession,
): Program {
  const program = {
    workflow: workflow.name,
    rules: workflow.rules,
    open(host: Host, root: Frame) {
      const place: Place = { key, path: '' };
      const whose = `a session of workflow "${workflow.name}"`;
      const session: Session = {
        host,
        draws,
        segments,
        runaway,
        takeSteps: upTo(
          MAX_STEPS,
          `${whose} starts too many steps`,
          'lower `times`, `max` or `over` of its loops and fan-outs, or spread the work over sessions',
        ),
        takePieces: upTo(
          MAX_PIECES,
          `the prompts of ${whose} are made of too many pieces`,
          'summarise the thread (`compact_at`), or make fewer passes on it',
        ),
        list: (parent, child, steps, around, previous) =>
          new ListFrame(session, parent, child, steps, around, previous),
      };
      return session.list(root, 0, workflow.steps, {
        place,
        threads: new Threads(new Thread(workflow.prefix)),
        task: place,
        inTask: false,
        agentDepth: 0,
        iteration: 0,
        pass: null,
        answers: null,
        prev: NO_ANSWER,
      });
    },
  };
  return runaway === null ? program : { ...program, injected: runaway.label };
}
