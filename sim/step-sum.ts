// Lengths of consecutive steps whose cost grows by the same amount each time, summed without walking them:
// length of step i = floor((first + i * growth) / 1024) ns, with first and growth in ns/1024. Exact in whole numbers, so
// that where a run of steps is cut changes nothing.
import { UNITS_PER_NS } from '../engines/affine.ts';

/** Sum over i < steps of floor((a * i + b) / 1024), for whole a and b from 0 to 1023. */
function smallFloorSum(steps: number, a: number, b: number): number {
  let n = steps;
  let m = UNITS_PER_NS;
  let slope = a;
  let offset = b;
  let sum = 0;
  // The rule of Euclid: what is left is the same question with slope and modulus exchanged.
  for (;;) {
    if (slope >= m) {
      sum += ((n * (n - 1)) / 2) * Math.floor(slope / m);
      slope %= m;
    }
    if (offset >= m) {
      sum += n * Math.floor(offset / m);
      offset %= m;
    }
    const last = slope * n + offset;
    if (last < m) return sum;
    n = Math.floor(last / m);
    offset = last % m;
    const exchanged = m;
    m = slope;
    slope = exchanged;
  }
}

/** Runs of equal or growing steps. `firstUnits` is at least 1024: a step takes at least 1 ns. */
export class StepSum {
  private firstNs = 0;
  private firstRest = 0;
  private growthNs = 0;
  private growthRest = 0;
  private firstUnits = 0;
  private growthUnits = 0;

  set(firstUnits: number, growthUnits: number): void {
    this.firstUnits = firstUnits;
    this.growthUnits = growthUnits;
    this.firstNs = Math.floor(firstUnits / UNITS_PER_NS);
    this.firstRest = firstUnits - this.firstNs * UNITS_PER_NS;
    this.growthNs = Math.floor(growthUnits / UNITS_PER_NS);
    this.growthRest = growthUnits - this.growthNs * UNITS_PER_NS;
  }

  /** Length of step `i`, ns. */
  lengthNs(i: number): number {
    return Math.floor((this.firstUnits + i * this.growthUnits) / UNITS_PER_NS);
  }

  /** Length of the first `steps` steps, ns. */
  sumNs(steps: number): number {
    if (steps <= 0) return 0;
    const whole = steps * this.firstNs + ((steps * (steps - 1)) / 2) * this.growthNs;
    return this.growthRest === 0 ? whole : whole + smallFloorSum(steps, this.growthRest, this.firstRest);
  }

  /** The fewest steps that together take `ns` or more; at most `most`. */
  stepsToReach(ns: number, most: number): number {
    if (ns <= 0) return 0;
    // The root of first * x + growth * x^2 / 2 = ns, then put right by whole steps.
    const first = this.firstUnits / UNITS_PER_NS;
    const growth = this.growthUnits / UNITS_PER_NS;
    const linear = first - growth / 2;
    const guess =
      growth === 0 ? ns / first : (2 * ns) / (linear + Math.sqrt(linear * linear + 2 * growth * ns));
    let steps = Math.min(most, Math.max(0, Math.ceil(guess)));
    while (steps > 0 && this.sumNs(steps - 1) >= ns) steps -= 1;
    while (steps < most && this.sumNs(steps) < ns) steps += 1;
    return steps;
  }
}
