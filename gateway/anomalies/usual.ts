// What sessions of each workflow use as a rule, learnt from those that ended: mean tokens, mean and spread of their calls.
import type { Expected } from './anomaly.ts';

/** Sessions of a workflow that must have ended before anything is expected of the next; an assumption. */
export const WARM_UP = 20;

/** One number over many sessions, by Welford's method. */
class Running {
  count = 0;
  mean = 0;
  private squares = 0;

  add(value: number): void {
    this.count++;
    const before = value - this.mean;
    this.mean += before / this.count;
    this.squares += before * (value - this.mean);
  }

  /** Sample standard deviation; 0 under two values. */
  get sd(): number {
    return this.count < 2 ? 0 : Math.sqrt(this.squares / (this.count - 1));
  }
}

/** A row for each workflow. */
export class Usual {
  private readonly rows = new Map<string, { tokens: Running; calls: Running; expected: Expected | null }>();

  of(workflow: string): Expected | null {
    return this.rows.get(workflow)?.expected ?? null;
  }

  /**
   * A session ended. Those that a rule flagged teach as well: left out, a workflow whose sessions differ much would chase
   * its own mean down, each flag making the next one likelier.
   */
  ended(workflow: string, tokens: number, calls: number): void {
    const row = this.rows.get(workflow) ?? { tokens: new Running(), calls: new Running(), expected: null };
    this.rows.set(workflow, row);
    row.tokens.add(tokens);
    row.calls.add(calls);
    if (row.tokens.count < WARM_UP) return;
    row.expected = { tokensMean: row.tokens.mean, callsMean: row.calls.mean, callsSd: row.calls.sd };
  }
}
