// The decoding requests of a replica as sums: how many, how much context, who needs a block when, who ends when. Each of
// them takes one token in every step, so a step changes no member and costs nothing here.
// Law: the sums are those of the members, whose computed tokens at step s are `computed + (s - joinStep)`.
import type { FastRequest } from './request.ts';

export class Batch {
  count = 0;
  private readonly blockTokens: number;
  /** Sum over members of computed - joinStep + 1: the context of step s is this plus count * s. */
  private contextBase = 0;
  /** Members by the remainder of (computed - joinStep) by blockTokens. */
  private readonly phases: Int32Array;
  /** By last step, then by admission: a heap. */
  private readonly endings: FastRequest[] = [];

  constructor(blockTokens: number) {
    this.blockTokens = blockTokens;
    this.phases = new Int32Array(blockTokens);
  }

  private phaseOf(request: FastRequest): number {
    const rest = (request.computed - request.joinStep) % this.blockTokens;
    return rest < 0 ? rest + this.blockTokens : rest;
  }

  /** From step `joinStep` on, to `lastStep`. */
  join(request: FastRequest, joinStep: number, lastStep: number): void {
    request.joinStep = joinStep;
    request.lastStep = lastStep;
    request.inBatch = true;
    this.count += 1;
    this.contextBase += request.computed - joinStep + 1;
    this.phases[this.phaseOf(request)]! += 1;
    this.endings.push(request);
    this.rise(this.endings.length - 1, request);
  }

  /** Out before step `step`; its tokens so far count as computed. */
  leave(request: FastRequest, step: number): void {
    this.count -= 1;
    this.contextBase -= request.computed - request.joinStep + 1;
    this.phases[this.phaseOf(request)]! -= 1;
    const tokens = step - request.joinStep;
    request.computed += tokens;
    request.computedTokens += tokens;
    request.generated += tokens;
    request.inBatch = false;
    this.remove(request.heapPlace);
  }

  contextTokens(step: number): number {
    return this.contextBase + this.count * step;
  }

  /** KV blocks that the members need for step `step`. */
  blocksAt(step: number): number {
    const rest = step % this.blockTokens;
    return this.phases[rest === 0 ? 0 : this.blockTokens - rest]!;
  }

  /** KV blocks for `steps` steps from `step` on. */
  blocksFor(step: number, steps: number): number {
    const whole = Math.floor(steps / this.blockTokens);
    let blocks = whole * this.count;
    for (let i = whole * this.blockTokens; i < steps; i++) blocks += this.blocksAt(step + i);
    return blocks;
  }

  /** How many steps from `step` on, at most `most`, find their blocks among `free`. */
  stepsThatFit(step: number, most: number, free: number): number {
    if ((Math.floor(most / this.blockTokens) + 1) * this.count <= free) return most;
    const whole = this.count === 0 ? 0 : Math.floor(free / this.count);
    let steps = Math.min(most, whole * this.blockTokens);
    let left = free - Math.floor(steps / this.blockTokens) * this.count;
    for (let i = Math.floor(steps / this.blockTokens) * this.blockTokens; i < steps; i++)
      left -= this.blocksAt(step + i);
    while (steps < most) {
      left -= this.blocksAt(step + steps);
      if (left < 0) break;
      steps += 1;
    }
    return steps;
  }

  /** Whose last step comes first. */
  firstToEnd(): FastRequest | undefined {
    return this.endings[0];
  }

  private remove(place: number): void {
    const last = this.endings.pop()!;
    if (place === this.endings.length) return;
    if (place > 0 && endsBefore(last, this.endings[(place - 1) >>> 1]!)) this.rise(place, last);
    else this.sink(place, last);
  }

  private rise(from: number, request: FastRequest): void {
    const { endings } = this;
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      const above = endings[parent]!;
      if (!endsBefore(request, above)) break;
      endings[place] = above;
      above.heapPlace = place;
      place = parent;
    }
    endings[place] = request;
    request.heapPlace = place;
  }

  private sink(from: number, request: FastRequest): void {
    const { endings } = this;
    let place = from;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= endings.length) break;
      if (child + 1 < endings.length && endsBefore(endings[child + 1]!, endings[child]!)) child += 1;
      const below = endings[child]!;
      if (!endsBefore(below, request)) break;
      endings[place] = below;
      below.heapPlace = place;
      place = child;
    }
    endings[place] = request;
    request.heapPlace = place;
  }
}

const endsBefore = (a: FastRequest, b: FastRequest): boolean =>
  a.lastStep < b.lastStep || (a.lastStep === b.lastStep && a.seq < b.seq);
