// The cheapest candidate that keeps its promises: best first over groups by what they cost at least. A group finds the
// fewest replicas that it needs in short runs; whichever could be the cheapest is looked at in longer ones, with several
// seeds, until the cheapest of all has stood the long ones. All meet the same agents.
//
//   bounds ─▶ the group that could be cheapest ─▶ short ─▶ middle ─▶ long ─▶ ranking
//                 ▲────────── it costs more than was thought ──────────┘
import type { Bound } from './bounds.ts';
import type { Evaluation, Evaluator, Trial } from './evaluate.ts';
import { candidateOf } from './space.ts';
import type { Stretch } from './traffic.ts';

export interface Rung {
  readonly name: 'short' | 'middle' | 'long';
  readonly stretch: Stretch;
  readonly seeds: number;
}

export interface SearchOptions {
  readonly evaluator: Evaluator;
  readonly bounds: readonly Bound[];
  readonly base: string;
  readonly rungs: readonly Rung[];
  /** USD an hour that may be spent; null: whatever it takes. */
  readonly budgetUsdPerHour: number | null;
  readonly tell: (text: string) => void;
}

/** What became of a group. */
export interface GroupResult {
  readonly bound: Bound;
  /** The last rung it was in; null: it was left out before any run. */
  readonly rung: Rung['name'] | null;
  /** Its cheapest candidate that keeps the promises there; null: none was found. */
  readonly best: Evaluation | null;
  /** The one that came closest, where none keeps them. */
  readonly closest: Evaluation | null;
  /** What its cheapest candidate costs, USD an hour; where none was found, what it costs at least. */
  readonly usd: number;
  /** Why it went no further; null: it stood the last rung. */
  readonly left: string | null;
}

export interface SearchResult {
  /** In the order of the bounds. */
  readonly groups: readonly GroupResult[];
  /** Of the last rung: kept by the whole interval, cheapest first, of equals the one with more room. */
  readonly ranking: readonly Evaluation[];
  /** Every evaluation there was, for charts. */
  readonly evaluations: readonly Evaluation[];
  readonly isInterrupted: boolean;
}

/** Where a broken group asks next while nothing is known of others: so many times as many replicas. */
const STRIDE = 1.5;
/** Times the cheapest known that a group may cost and still be asked about: a short run may be off by a replica. */
const SLACK = 1.25;
/** Once the long runs have a cheapest one and a runner-up, only what could cost less is asked. */
const SLACK_AT_END = 1 - 1e-9;
/** Trials side by side. The same on every machine: what is asked next depends on all that was answered. */
const WIDTH = 4;
/** Times that the search for a runner-up goes on, each time to the next cost. */
const FURTHER = 12;
/** Broken by so much over the target in a short run, a long one would not keep it. */
const CLEARLY = 0.5;
/** More replicas that change a value by less than this do not help. */
const NO_GAIN = 0.02;

/** The search of one group for the fewest replicas that keep the promises. */
class Climb {
  readonly bound: Bound;
  private readonly rungs: readonly Rung[];
  private at = 0;
  /** Most replicas known to be too few; fewest known to be enough. */
  private tooFew: number;
  private enough: number | null = null;
  /** Most that a shorter run has clearly shown to be too few. */
  private clearlyTooFew: number;
  /** The first number to ask about; in a later rung, what the one before found. */
  private first: number;
  private asksMost = false;
  private wasAsked = false;
  /** How far the next question lies from the last: doubled as long as the answer is the same. */
  private stride = 1;
  best: Evaluation | null = null;
  closest: Evaluation | null = null;
  /** Why it can never be the answer; null: it may. */
  left: string | null;

  constructor(bound: Bound, rungs: readonly Rung[]) {
    this.bound = bound;
    this.rungs = rungs;
    this.left = bound.impossible;
    this.tooFew = bound.replicasMin - 1;
    this.clearlyTooFew = this.tooFew;
    this.first = bound.replicasMin;
    if (this.left === null && bound.replicasMin > this.most)
      this.left = `needs at least ${bound.replicasMin} replicas, more than ${this.most}`;
  }

  private get most(): number {
    return this.bound.group.replicas.max;
  }

  get rung(): Rung {
    return this.rungs[this.at]!;
  }

  /** Rungs that it has stood. */
  get depth(): number {
    return this.at;
  }

  get lastRung(): Rung['name'] | null {
    return this.wasAsked ? this.rung.name : null;
  }

  /** USD an hour. */
  usdOf(replicas: number): number {
    return (
      replicas * this.bound.group.tensorParallel * (this.bound.usdPerGpuHour ?? Number.POSITIVE_INFINITY)
    );
  }

  /** What it costs as far as is known; before that, what it costs at least. */
  get usd(): number {
    return this.usdOf(this.enough ?? Math.max(this.tooFew + 1, this.first));
  }

  /** Whether a number is known that is enough, in this rung or in the one before. */
  get isFound(): boolean {
    return this.left === null && (this.enough !== null || this.at > 0);
  }

  /** Whether nothing cheaper is left to ask in this rung. */
  private get isSettled(): boolean {
    return (
      this.enough !== null && (this.enough - this.tooFew <= 1 || this.enough <= this.bound.group.replicas.min)
    );
  }

  get isFinal(): boolean {
    return this.left === null && this.isSettled && this.at === this.rungs.length - 1;
  }

  /**
   * The next number of replicas to ask about, none dearer than `limitUsd`; null: none. Where others have set a limit, the
   * most that it allows comes first: most groups are out after one run. Goes on to the next rung where this one is settled.
   */
  next(limitUsd: number): number | null {
    if (this.left !== null || this.isFinal) return null;
    if (this.isSettled) this.enter();
    const { tooFew, enough, at } = this;
    const most = Math.min(this.most, Math.floor(limitUsd / this.usdOf(1) + 1e-9));
    if (enough !== null) {
      const between = Math.floor((tooFew + enough) / 2);
      return Math.max(
        this.bound.group.replicas.min,
        at === 0 ? between : Math.max(between, enough - this.stride),
      );
    }
    if (tooFew >= most) return null;
    if (at > 0) return Math.min(most, tooFew < this.first ? this.first : tooFew + this.stride);
    if (this.asksMost || limitUsd < Number.POSITIVE_INFINITY) return most;
    if (tooFew < this.first) return Math.min(this.first, most);
    return Math.min(most, Math.max(tooFew + 1, Math.ceil(tooFew * STRIDE)));
  }

  /** Into the next rung: what the one before found comes first, then one fewer, or one more. */
  private enter(): void {
    const found = this.enough!;
    this.at += 1;
    this.first = found;
    this.stride = 1;
    this.tooFew = Math.min(this.clearlyTooFew, found - 1);
    this.enough = null;
    this.best = null;
    this.closest = null;
    this.asksMost = false;
  }

  hear(evaluation: Evaluation): void {
    this.wasAsked = true;
    const { replicas } = evaluation.trial.candidate;
    if (evaluation.verdict === 'failed') {
      this.left = evaluation.failure?.message.split('\n')[0] ?? 'it failed';
      return;
    }
    // In the end the whole interval must keep them.
    const isLast = this.at === this.rungs.length - 1 && this.rung.seeds > 1;
    const isEnough = evaluation.verdict === 'kept' || (!isLast && evaluation.verdict === 'unsure');
    if (replicas !== this.first) this.stride *= 2;
    if (isEnough) {
      if (this.enough === null || replicas < this.enough) {
        this.enough = replicas;
        this.best = evaluation;
      }
      return;
    }
    // Replicas in plenty that change nothing: the GPU itself is too slow.
    const before = this.closest;
    const gained = roomOf(evaluation) - (before === null ? Number.NEGATIVE_INFINITY : roomOf(before));
    if (
      before !== null &&
      replicas > before.trial.candidate.replicas &&
      gained < NO_GAIN * (1 - roomOf(before))
    )
      this.asksMost = true;
    this.closest = closerOf(before, evaluation);
    this.tooFew = Math.max(this.tooFew, replicas);
    if (roomOf(evaluation) < -CLEARLY) this.clearlyTooFew = Math.max(this.clearlyTooFew, replicas);
    if (this.tooFew >= this.most) this.left = `broken with ${this.most} replicas`;
  }
}

/** Differences of room up to this are nothing to pay for. */
const AS_CLOSE = 0.02;

/** The one with more room; of those that are as close, the cheaper. */
function closerOf(a: Evaluation | null, b: Evaluation): Evaluation {
  if (a === null) return b;
  const gained = roomOf(b) - roomOf(a);
  if (Math.abs(gained) > AS_CLOSE * (1 + Math.abs(roomOf(a)))) return gained > 0 ? b : a;
  return (b.usdPerHour ?? Number.POSITIVE_INFINITY) < (a.usdPerHour ?? Number.POSITIVE_INFINITY) ? b : a;
}

const roomOf = ({ tightest }: Evaluation): number => tightest?.marginRatio ?? 0;

export async function search(options: SearchOptions): Promise<SearchResult> {
  const { evaluator, base, bounds, rungs, budgetUsdPerHour, tell } = options;
  const climbs = bounds.map(bound => new Climb(bound, rungs));
  const evaluations: Evaluation[] = [];
  let isInterrupted = false;
  /** USD an hour up to which a runner-up is looked for, where there is none near the answer. */
  let [furtherUsd, further] = [0, 0];
  while (!isInterrupted) {
    const finals = climbs.filter(({ isFinal }) => isFinal);
    const near = Math.max(limitOf(climbs, finals), finals.length === 1 ? furtherUsd : 0);
    const limit = Math.min(near, budgetUsdPerHour ?? Number.POSITIVE_INFINITY);
    const open: { climb: Climb; replicas: number }[] = [];
    for (const climb of climbs.filter(({ usd }) => usd <= limit).toSorted(byUsd)) {
      if (open.length === WIDTH) break;
      const replicas = climb.next(limit);
      if (replicas !== null) open.push({ climb, replicas });
    }
    const [first] = open;
    if (first === undefined) {
      const others = climbs.filter(({ left, isFinal }) => left === null && !isFinal).map(({ usd }) => usd);
      const nextUsd = Math.min(...others);
      if (finals.length !== 1 || nextUsd <= limit || nextUsd === Infinity || ++further > FURTHER) break;
      furtherUsd = nextUsd;
      continue;
    }
    tell(`${first.climb.rung.name} run of ${first.replicas} x ${first.climb.bound.group.name}`);
    const results = await evaluator.evaluate(
      open.map(
        ({ climb: { bound, rung }, replicas }): Trial => ({
          candidate: candidateOf(bound.group, replicas, bound, base),
          stretch: rung.stretch,
          seeds: rung.seeds,
        }),
      ),
    );
    for (const [i, result] of results.entries()) {
      if (result === null) isInterrupted = true;
      else {
        evaluations.push(result);
        open[i]!.climb.hear(result);
      }
    }
  }
  const finals = climbs.filter(({ isFinal }) => isFinal);
  return {
    groups: climbs.map(climb => ({
      bound: climb.bound,
      rung: climb.lastRung,
      best: climb.best,
      closest: climb.closest,
      usd: climb.usd,
      left: climb.isFinal ? null : whyLeft(climb, budgetUsdPerHour),
    })),
    ranking: finals
      .toSorted((a, b) => a.usd - b.usd || roomOf(b.best!) - roomOf(a.best!))
      .map(({ best }) => best!),
    evaluations,
    isInterrupted,
  };
}

/** Cheapest first; of equals the one that has stood more, since what it comes to bounds the others. */
const byUsd = (a: Climb, b: Climb): number => a.usd - b.usd || b.depth - a.depth;

/** USD an hour beyond which nobody is asked. */
function limitOf(climbs: readonly Climb[], finals: readonly Climb[]): number {
  const cheapest = (some: readonly Climb[]): number =>
    some.reduce((least, { usd }) => Math.min(least, usd), Number.POSITIVE_INFINITY);
  if (finals.length > 1) return cheapest(finals) * SLACK_AT_END;
  return cheapest(climbs.filter(({ isFound }) => isFound)) * SLACK;
}

function whyLeft(climb: Climb, budget: number | null): string {
  if (climb.left !== null) return climb.left;
  const usd = `$${climb.usd.toFixed(2)}/h`;
  if (budget !== null && climb.usd > budget) return `at least ${usd}: beyond the budget`;
  if (climb.isFound) return `${usd} after ${climb.rung.name} runs: others are as cheap or cheaper`;
  return `at least ${usd}: dearer than others`;
}

/** Of all that broke a promise, what came closest: where nothing keeps them. */
export const closestOf = (groups: readonly GroupResult[]): Evaluation | null =>
  groups.reduce<Evaluation | null>((best, { closest }) => {
    if (closest === null) return best;
    return closerOf(best, closest);
  }, null);
