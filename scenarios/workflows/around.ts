// What the frames of one session share: the host, the draws, and where a list of steps runs.
import { extend, type Key } from '../base/key.ts';
import type { Run } from '../formats/prompt.ts';
import type { Draws, Place } from './draws.ts';
import { childLists, type Step } from './program.ts';
import { type Answer, type Frame, type Host, NO_ANSWER } from './progress.ts';
import type { Runaway } from './runaway.ts';
import type { Segments } from './segments.ts';
import type { Thread, Threads } from './thread.ts';

/** What every frame of a session shares. */
export interface Session {
  readonly host: Host;
  readonly draws: Draws;
  readonly segments: Segments;
  /** What it does wrong; null: nothing. */
  readonly runaway: Runaway | null;
  /** Counts steps and branches before they start, and the pieces of prompts: a session has limits. */
  takeSteps(count: number): void;
  takePieces(count: number): void;
  /** Makes a list of steps; `previous` is the pass before it in a loop. */
  list(parent: Frame, child: number, steps: readonly Step[], around: Around, previous?: List): List;
}

/** What is left behind by a list: its last answer, and the thread that already holds it (null for none). */
export interface Last {
  readonly answer: Answer;
  readonly heldBy: Thread | null;
}

/** A list of steps that runs. */
export interface List extends Frame {
  readonly answers: Answers;
  readonly last: Last;
  begin(cause: string | null): void;
}

/** A list as the blocks inside it see it. */
export interface EnclosingList extends Frame {
  /** Takes over what an inner list on the same thread left behind. */
  adopt(inner: List): void;
  /** Takes the answers of steps inside a fan-out: those of all branches, in order. */
  gather(lists: readonly List[]): void;
}

/** Answers by step name; an inner list sees the outer ones. */
export class Answers {
  private readonly outer: Answers | null;
  readonly own: Map<string, Answer>;

  constructor(outer: Answers | null, own: Map<string, Answer> = new Map()) {
    this.outer = outer;
    this.own = own;
  }

  get(name: string): Answer {
    return this.own.get(name) ?? this.outer?.get(name) ?? NO_ANSWER;
  }
}

/** One pass of a repeat, from 0. */
export interface LoopPass {
  readonly loop: string;
  readonly pass: number;
}

/** Where a list runs: its place, its threads, and what its steps can see. */
export interface Around {
  readonly place: Place;
  readonly threads: Threads;
  /** The outermost fan-out branch or sub-agent, or the session itself. */
  readonly task: Place;
  readonly inTask: boolean;
  /** Sub-agents that it is inside of. */
  readonly agentDepth: number;
  /** Innermost repeat or map. */
  readonly iteration: number;
  /** Innermost repeat. */
  readonly pass: LoopPass | null;
  readonly answers: Answers | null;
  /** The answer of the step before the block that is about to run. */
  readonly prev: Answer;
}

/** The readable part of a step's name: a tool used twice in a list is `fetch#2` the second time. */
export const plainName = (name: string): string => (name.includes('#') ? name.replace(/#\d+$/, '') : name);

export const childPlace = (place: Place, key: Key, name: string): Place =>
  below(place, key.hi, key.lo, place.path === '' ? name : `${place.path}/${name}`);

export const indexed = (place: Place, index: number): Place =>
  below(place, index, 0x69746572, `${place.path}[${index}]`);

const below = ({ key, args }: Place, a: number, b: number, path: string): Place =>
  args === undefined
    ? { key: extend(key, a, b), path }
    : { key: extend(key, a, b), path, args: extend(args, a, b) };

/** Where a step is run once more; `asksTheSame`: with the same arguments. */
export function again(place: Place, times: number, asksTheSame: boolean): Place {
  const key = extend(place.key, times, 0x72756e73);
  const path = `${place.path}~r${times}`;
  return asksTheSame ? { key, path, args: place.args ?? place.key } : { key, path };
}

export function joined(answers: readonly Answer[]): Answer {
  const runs: Run[] = [];
  let tokens = 0;
  for (const answer of answers) {
    for (const run of answer.runs) runs.push(run);
    tokens += answer.tokens;
  }
  return { runs, tokens };
}

/** What the amounts of a block see: the answers so far, and the step before the block as `prev`. */
export const scopeOf = ({ iteration, answers, prev }: Around) => ({
  iteration,
  tokens: (name: string): number => (name === 'prev' ? prev : (answers?.get(name) ?? NO_ANSWER)).tokens,
});

/** Whether a step is of role `final`, or has one on its way: all others end when a session is finalised. */
export function holdsFinal(step: Step): boolean {
  switch (step.verb) {
    case 'llm':
      return step.role === 'final';
    case 'try':
      return step.steps.some(holdsFinal);
    default:
      return childLists(step).some(list => list.some(holdsFinal));
  }
}

/** Records leaf steps that will not start: what is inside blocks once each, a branch's cases as `name[case]`. */
export function skipSteps(host: Host, steps: readonly Step[], path: string): void {
  for (const step of steps) {
    const inner = path === '' ? step.name : `${path}/${step.name}`;
    const plain = plainName(step.name);
    switch (step.verb) {
      case 'llm':
        host.skip(inner, plain, 'llm', step.role);
        break;
      case 'compact':
        host.skip(inner, plain, 'llm', 'summarizer');
        break;
      case 'tool':
      case 'human':
      case 'wait':
        host.skip(inner, plain, step.verb, null);
        break;
      case 'try':
        // What runs on an error was never on the way.
        skipSteps(host, step.steps, inner);
        break;
      default: {
        const numbered = step.verb === 'parallel' || step.verb === 'branch';
        for (const [index, list] of childLists(step).entries())
          skipSteps(host, list, numbered ? `${inner}[${index}]` : inner);
      }
    }
  }
}
