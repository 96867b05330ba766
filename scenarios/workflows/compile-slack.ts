// How the time until a workflow's deadline is split over its calls: each has the share of what is still to do from its
// start on that is its own, along the critical path, in expected time. Two passes over the steps: forwards, how long each
// takes; backwards, what comes after it. Static: no engine is asked, so that a plan is the same on all of them.
import { meanOf } from '../base/distributions.ts';
import { type ExpressionScope, evaluate } from '../base/expression.ts';
import { type Amount, type DrawnAmount, settle } from '../formats/amount.ts';
import { expectedPasses } from '../lint/expected.ts';
import { plainName } from './around.ts';
import type { BranchStep, CompactStep, FanOutStep, LlmStep, RepeatStep, Step } from './program.ts';

/**
 * Assumptions; only their ratio matters, and that to the tools. 50 tokens written a second, and 10,000 of a prompt read: a
 * 70B model on 8 GPUs. What of a prompt its thread or prefix already holds is taken from the cache.
 */
const MS_PER_OUTPUT_TOKEN = 20;
const MS_PER_PROMPT_TOKEN = 0.1;
/** Enough for a share: a mean within a few percent, also of heavy tails. */
const POINTS = 100;

type Params = ReadonlyMap<string, Amount>;
type Means = Map<Amount, number>;

/** The last answer before a step, expected, and the thread that already holds it; null: none does. */
interface Last {
  readonly tokens: number;
  readonly heldBy: string | null;
}

const MAIN = '';
const NOTHING: Last = { tokens: 0, heldBy: null };

/** A step, how long it takes, and the same of the lists inside. */
interface Timed {
  readonly step: Step;
  readonly ms: number;
  /** Of the call that summarises its thread first. */
  readonly compactMs: number;
  readonly lists: readonly TimedList[];
}

interface TimedList {
  readonly steps: readonly Timed[];
  readonly ms: number;
  readonly last: Last;
}

/** What amounts see, in expected tokens. Answers of a list are seen by all that comes after it. */
interface Sight {
  readonly params: Params;
  readonly means: Means;
  readonly answers: Map<string, number>;
  readonly iteration: number;
}

/** The same steps, with `slackShare` in the rules of every call. The scenario has no problem: nothing goes in circles. */
export function withSlackShares(steps: readonly Step[], params: Params): Step[] {
  const sight: Sight = { params, means: new Map(), answers: new Map(), iteration: 0 };
  return shareOut(timedList(steps, sight, NOTHING), 0, 1);
}

// ---- how long each step takes ---------------------------------------------------------------------------------

function mean(amount: Amount, whole: boolean, sight: Sight, prev: number, reasoning = 0): number {
  if (amount.kind === 'draw') return meanDrawn(amount, whole, sight);
  const scope: ExpressionScope = {
    tokens: name => (name === 'prev' ? prev : (sight.answers.get(name) ?? 0)),
    name: name =>
      name === 'iteration' ? sight.iteration : name === 'reasoning' ? reasoning : meanParam(name, sight),
  };
  return settle(amount, evaluate(amount.expression, scope), false);
}

function meanDrawn(amount: DrawnAmount, whole: boolean, { means }: Sight): number {
  const known = means.get(amount);
  if (known !== undefined) return known;
  const value = meanOf(amount.of, each => settle(amount, each, whole), POINTS);
  means.set(amount, value);
  return value;
}

/** Of a parameter, which sees nothing but other parameters: worked out once, however many stand on it. */
function meanParam(name: string, sight: Sight): number {
  const param = sight.params.get(name);
  if (param === undefined) return 0;
  if (param.kind === 'draw') return meanDrawn(param, false, sight);
  const known = sight.means.get(param);
  if (known !== undefined) return known;
  const scope: ExpressionScope = { tokens: () => 0, name: other => meanParam(other, sight) };
  const value = settle(param, evaluate(param.expression, scope), false);
  sight.means.set(param, value);
  return value;
}

function timedList(steps: readonly Step[], sight: Sight, before: Last): TimedList {
  const timed: Timed[] = [];
  let last = before;
  let ms = 0;
  for (const step of steps) {
    const { answer, ...next } = timedStep(step, sight, last);
    timed.push(next);
    ms += next.ms;
    sight.answers.set(plainName(step.name), answer.tokens);
    if (step.verb !== 'wait') last = answer;
  }
  return { steps: timed, ms, last };
}

function timedStep(step: Step, sight: Sight, last: Last): Timed & { answer: Last } {
  const made = (ms: number, answer: Last, lists: readonly TimedList[] = []) => {
    return { step, ms, compactMs: 0, lists, answer };
  };
  const inside = (list: readonly Step[], iteration = sight.iteration): TimedList =>
    timedList(list, { ...sight, iteration }, last);
  switch (step.verb) {
    case 'llm': {
      const compactMs = step.compactAt === null ? 0 : compactTime(step.compactAt.by, sight).ms;
      return { ...made(...llmTime(step, sight, last)), compactMs };
    }
    case 'compact': {
      const { ms, answer } = compactTime(step, sight);
      return made(ms, answer);
    }
    case 'tool': {
      const tokens = mean(step.resultTokens, true, sight, last.tokens);
      return made(mean(step.latencyMs, false, sight, last.tokens), { tokens, heldBy: null });
    }
    case 'human':
    case 'wait': {
      const tokens = mean(step.adds, true, sight, last.tokens);
      return made(mean(step.delayMs, false, sight, last.tokens), { tokens, heldBy: null });
    }
    case 'parallel': {
      const lists = step.branches.map(branch => inside(branch));
      const tokens = lists.reduce((sum, list) => sum + list.last.tokens, 0);
      return made(joinedMs(step, lists), { tokens, heldBy: null }, lists);
    }
    case 'map': {
      const copies = step.over === null ? 1 : mean(step.over, true, sight, last.tokens);
      const answers = new Map(sight.answers);
      const iteration = Math.max(0, copies - 1) / 2;
      const list = timedList(step.branches[0] ?? [], { ...sight, answers, iteration }, last);
      // Who reads a step inside of it reads the answers of all copies.
      for (const [name, tokens] of answers)
        if (sight.answers.get(name) !== tokens) sight.answers.set(name, copies * tokens);
      const answer = { tokens: copies * list.last.tokens, heldBy: null };
      return made(list.ms * waves(step, copies, sight, last), answer, [list]);
    }
    case 'repeat': {
      const passes = passesOf(step, sight, last);
      const list = inside(step.steps, Math.max(0, passes - 1) / 2);
      return made(list.ms * passes, list.last, [list]);
    }
    case 'branch': {
      const lists = step.cases.map(each => inside(each.steps));
      const odds = oddsOf(step);
      const expected = (of: (list: TimedList) => number): number =>
        lists.reduce((sum, list, index) => sum + odds[index]! * of(list), 0);
      const tokens = expected(list => list.last.tokens);
      const ms = expected(list => list.ms);
      return made(ms, { tokens, heldBy: lists[0]?.last.heldBy ?? null }, lists);
    }
    case 'try': {
      const tried = inside(step.steps);
      return made(tried.ms, tried.last, [tried, inside(step.onError)]);
    }
    case 'agent': {
      const list = timedList(step.steps, { ...sight, answers: new Map(), iteration: 0 }, last);
      return made(list.ms, { ...list.last, heldBy: null }, [list]);
    }
  }
}

const callMs = (promptTokens: number, outputTokens: number): number =>
  promptTokens * MS_PER_PROMPT_TOKEN + outputTokens * MS_PER_OUTPUT_TOKEN;

function llmTime(step: LlmStep, sight: Sight, last: Last): [ms: number, answer: Last] {
  const thread = step.thread ?? MAIN;
  const isHeld = step.context === 'last' || (step.context !== 'fresh' && last.heldBy === thread);
  const prev = isHeld ? 0 : last.tokens;
  const reads = step.reads.reduce((sum, name) => sum + (sight.answers.get(name) ?? 0), 0);
  const adds = mean(step.adds, true, sight, prev);
  const reasoning = mean(step.reasoning, true, sight, prev);
  const out = Math.max(1, mean(step.out, true, sight, prev, reasoning));
  const written = Math.min(reasoning + out, step.maxTokens);
  return [callMs(reads + adds, written), { tokens: out, heldBy: step.context === 'main' ? thread : null }];
}

function compactTime(step: CompactStep, sight: Sight): { ms: number; answer: Last } {
  const out = Math.max(1, mean(step.out, true, sight, 0));
  const ms = callMs(mean(step.adds, true, sight, 0), out);
  return { ms, answer: { tokens: out, heldBy: step.thread ?? MAIN } };
}

/** When as many branches have ended as the join waits for: the longest, the shortest, or the n-th. */
function joinedMs({ join }: FanOutStep, lists: readonly TimedList[]): number {
  const lengths = lists.map(list => list.ms).sort((a, b) => a - b);
  const needed = join === 'all' ? lengths.length : join === 'any' ? 1 : join;
  return lengths[Math.min(needed, lengths.length) - 1] ?? 0;
}

/** How often one copy's time passes until the join of a map: as many copies as it waits for, so many at once. */
function waves(step: FanOutStep, copies: number, sight: Sight, last: Last): number {
  const needed = step.join === 'all' ? copies : Math.min(step.join === 'any' ? 1 : step.join, copies);
  const width = step.maxParallel === null ? copies : mean(step.maxParallel, true, sight, last.tokens);
  return Math.max(needed / Math.max(1, width), Math.min(1, needed));
}

/** Of a condition that a result decides: half of what it may be at the most; an assumption. */
function passesOf({ times, stopRatio, max }: RepeatStep, sight: Sight, last: Last): number {
  if (times !== null) return Math.min(mean(times, true, sight, last.tokens), max);
  return stopRatio === null ? (1 + max) / 2 : expectedPasses(stopRatio, max);
}

/** Cases by condition are equally likely; an assumption. */
function oddsOf({ cases }: BranchStep): number[] {
  const total = cases.reduce((sum, { weight }) => sum + (weight ?? 0), 0);
  return cases.map(({ weight }) => (total > 0 ? (weight ?? 0) / total : 1 / cases.length));
}

// ---- what comes after it --------------------------------------------------------------------------------------

/**
 * Backwards over a list after which `afterMs` is still to do. `stretch`: a branch that is shorter than the join it runs to
 * has the time of the longest, and its calls have so many times their own.
 */
function shareOut({ steps }: TimedList, afterMs: number, stretch: number): Step[] {
  const shared: Step[] = [];
  let leftMs = afterMs;
  for (const timed of steps.toReversed()) {
    shared.push(shareStep(timed, leftMs, stretch));
    leftMs += timed.ms * stretch;
  }
  return shared.reverse();
}

function shareStep({ step, ms, compactMs, lists }: Timed, afterMs: number, stretch: number): Step {
  const ownMs = ms * stretch;
  /** The lists inside, where on average `restMs` of this step is still to do after one of them. */
  const inner = (restMs: number): Step[][] => lists.map(list => shareOut(list, afterMs + restMs, stretch));
  switch (step.verb) {
    case 'llm': {
      const shared = withShare(step, ownMs / (ownMs + afterMs));
      if (step.compactAt === null) return shared;
      const firstMs = compactMs * stretch;
      const by = withShare(step.compactAt.by, firstMs / (firstMs + ownMs + afterMs));
      return { ...shared, compactAt: { ...step.compactAt, by } };
    }
    case 'compact':
      return withShare(step, ownMs / (ownMs + afterMs));
    case 'parallel': {
      const toJoin = (listMs: number): number => (listMs > 0 ? stretch * Math.max(1, ms / listMs) : stretch);
      return { ...step, branches: lists.map(list => shareOut(list, afterMs, toJoin(list.ms))) };
    }
    case 'map':
      return { ...step, branches: inner(halfOfTheRest(lists, ms) * stretch) };
    case 'repeat':
      return { ...step, steps: inner(halfOfTheRest(lists, ms) * stretch)[0] ?? [] };
    case 'branch': {
      const cases = inner(0);
      return { ...step, cases: step.cases.map((each, index) => ({ ...each, steps: cases[index]! })) };
    }
    case 'try': {
      const [steps = [], onError = []] = inner(0);
      return { ...step, steps, onError };
    }
    case 'agent':
      return { ...step, steps: inner(0)[0] ?? [] };
    case 'tool':
    case 'human':
    case 'wait':
      return step;
  }
}

/** What is still to do of a loop after its average pass: half of the other passes. */
const halfOfTheRest = ([list]: readonly TimedList[], ms: number): number =>
  Math.max(0, ms - (list?.ms ?? 0)) / 2;

const withShare = <T extends LlmStep | CompactStep>(step: T, slackShare: number): T => ({
  ...step,
  rules: { ...step.rules, slackShare },
});
