// How often a step was asked the same thing, over the last different things that it was asked: a loop asks again soon, and
// a session of any length needs no more memory.

/** Different arguments of a step that are remembered; an assumption, far above the period of any loop. */
const REMEMBERED = 256;

const NOTHING = -1;

/** Parallel columns, the place that was written longest ago at `next`. */
interface Asked {
  readonly args: number[];
  readonly counts: number[];
  next: number;
}

export class Repeats {
  private readonly steps = new Map<string, Asked>();

  /** Notes that `step` is asked `args` once more; how often that was, this time included. */
  count(step: string, args: number): number {
    let asked = this.steps.get(step);
    if (asked === undefined) {
      asked = { args: [], counts: [], next: 0 };
      this.steps.set(step, asked);
    }
    const place = asked.args.indexOf(args);
    const count = place < 0 ? 1 : asked.counts[place]! + 1;
    // What is asked again stays longer.
    if (place >= 0) asked.args[place] = NOTHING;
    asked.args[asked.next] = args;
    asked.counts[asked.next] = count;
    asked.next = (asked.next + 1) % REMEMBERED;
    return count;
  }
}
