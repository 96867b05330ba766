// How often a step was asked the same thing, over the last different things that it was asked: a loop asks again soon, and
// a session of any length needs no more memory.

/** Different arguments of a step that are remembered; an assumption, far above the period of any loop. */
const REMEMBERED = 256;

export class Repeats {
  /** By step, then by arguments, the longest unseen first. */
  private readonly steps = new Map<string, Map<number, number>>();

  /** Notes that `step` is asked `args` once more; how often that was, this time included. */
  count(step: string, args: number): number {
    let counts = this.steps.get(step);
    if (counts === undefined) {
      counts = new Map();
      this.steps.set(step, counts);
    }
    const before = counts.get(args);
    if (before !== undefined) counts.delete(args);
    else if (counts.size >= REMEMBERED) counts.delete(counts.keys().next().value as number);
    const count = (before ?? 0) + 1;
    counts.set(args, count);
    return count;
  }
}
