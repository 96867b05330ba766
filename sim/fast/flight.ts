// The steps of a replica that are decided and have not ended: one, or two with async scheduling. Their objects are used
// again and again, since a replica has millions of steps.
import type { FastRequest } from './request.ts';

export interface Step {
  index: number;
  endNs: number;
  /** Since the step before it ended: the token gap of every decode. */
  gapNs: number;
  /** Members of the batch whose token appears at its end. */
  decodes: number;
  /** Requests outside of the batch that give a token at its end, in order of admission. */
  givers: readonly FastRequest[];
}

export const NOBODY: readonly FastRequest[] = [];

const emptyStep = (): Step => ({ index: 0, endNs: 0, gapNs: 0, decodes: 0, givers: NOBODY });

export class Flight {
  count = 0;
  /** By end; the first `count` are in flight. */
  private readonly steps: Step[] = [emptyStep(), emptyStep(), emptyStep()];

  /** The step that ends first. */
  get first(): Step {
    return this.steps[0]!;
  }

  push(index: number, endNs: number, gapNs: number, decodes: number, givers: readonly FastRequest[]): void {
    const step = this.steps[this.count++]!;
    step.index = index;
    step.endNs = endNs;
    step.gapNs = gapNs;
    step.decodes = decodes;
    step.givers = givers;
  }

  /** Takes the step that ends first; its object is good until two more were pushed. */
  shift(): Step {
    const { steps } = this;
    const step = steps[0]!;
    steps[0] = steps[1]!;
    steps[1] = steps[2]!;
    steps[2] = step;
    this.count -= 1;
    return step;
  }

  /** Those in flight. */
  all(): readonly Step[] {
    return this.steps.slice(0, this.count);
  }
}
