// Pipeline stages: each holds part of the layers, and as many steps are in flight. A step takes an equal share of its
// time in each stage, and waits there for the step before it. One stage is an engine without a pipeline.
// vLLM v1/engine/core.py, step_with_batch_queue.
import type { PoolSpec } from '../../engines/engine.ts';
import type { Request } from './request.ts';

/** Steps of an engine that may be decided and not ended: one per stage, or with async scheduling one ahead. */
export const stepsInFlight = ({ pipelineStages, limits }: PoolSpec): number =>
  pipelineStages > 1 ? pipelineStages : limits.asyncScheduling ? 2 : 1;

/** In a pipeline a sequence goes on when its token has come out of the last stage, so it is in one step at a time. */
export const awaitsToken = ({ pipelineStages }: PoolSpec, request: Request): boolean =>
  pipelineStages > 1 && request.expected > 0;

export class Pipeline {
  /** When each stage is free, ns. */
  private readonly freeNs: number[];

  constructor(stages: number) {
    this.freeNs = new Array<number>(stages).fill(0);
  }

  /**
   * Sends a step in behind the others; returns when it leaves the last stage. What stages send each other is part of
   * `stepNs`, as every cost of the step is; the part of a nanosecond that no stage gets is the last one's.
   */
  enter(atNs: number, stepNs: number): number {
    const stages = this.freeNs.length;
    const shareNs = Math.floor(stepNs / stages);
    let ns = atNs;
    for (let stage = 0; stage < stages; stage++) {
      const stageNs = stage < stages - 1 ? shareNs : stepNs - shareNs * (stages - 1);
      ns = Math.max(ns, this.freeNs[stage]!) + stageNs;
      this.freeNs[stage] = ns;
    }
    return ns;
  }
}
