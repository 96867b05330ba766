// When replicas are lost, as the scenario says: at a time, or at a rate, drawn from the plan's seed.
import { NANOSECOND_MS } from '../scenarios/base/instants.ts';
import { extend, extendText, type Key, seedKey, uniform } from '../scenarios/base/key.ts';
import type { Plan, PlannedCrash } from '../scenarios/formats/plan.ts';

export interface Crash {
  readonly pool: string;
  /** A uniform draw: which of the replicas that are ready then. */
  readonly draw: number;
}

/** The next crash of one line of the plan. */
interface Line {
  readonly planned: PlannedCrash;
  readonly key: Key;
  ordinal: number;
  atMs: number;
}

export class Crashes {
  private readonly pools: readonly string[];
  private readonly lines: Line[];

  constructor({ crashes = [], seed }: Plan, pools: readonly string[]) {
    this.pools = pools;
    const root = extendText(seedKey(seed), 'crashes');
    this.lines = crashes.map((planned, i) => {
      const line = { planned, key: extend(root, i), ordinal: 0, atMs: planned.atMs ?? 0 };
      if (planned.perSec !== null) line.atMs += gapMs(line);
      return line;
    });
  }

  /** When the next replica is lost; Infinity for never. */
  nextMs(): number {
    let ms = Number.POSITIVE_INFINITY;
    for (const { atMs } of this.lines) if (atMs < ms) ms = atMs;
    return ms;
  }

  /** The crashes that are due, which are over then. */
  due(nowMs: number): Crash[] {
    const crashes: Crash[] = [];
    for (const line of this.lines) {
      while (line.atMs <= nowMs + NANOSECOND_MS) {
        const { planned, key, ordinal } = line;
        const any = this.pools[Math.floor(uniform(extend(key, ordinal, 2)) * this.pools.length)];
        const pool = planned.pool ?? any;
        if (pool !== undefined) crashes.push({ pool, draw: uniform(extend(key, ordinal, 1)) });
        line.ordinal += 1;
        if (planned.perSec === null) line.atMs = Number.POSITIVE_INFINITY;
        else line.atMs += gapMs(line);
      }
    }
    return crashes;
  }
}

/** Exponential: crashes know nothing of each other. */
const gapMs = ({ planned, key, ordinal }: Pick<Line, 'planned' | 'key' | 'ordinal'>): number =>
  (-Math.log(uniform(extend(key, ordinal))) * 1000) / planned.perSec!;
