// The largest loads that a pool's steps had, against those that its step model was tried with.
import type { PoolSpec, StepLoad, StepModel } from '../engines/engine.ts';
import { emptyLoad } from '../engines/step-load.ts';

export class LoadRange {
  private decodes = 0;
  /** Mean tokens of one sequence. */
  private contextTokens = 0;
  private prefillTokens = 0;

  note(load: StepLoad): void {
    if (load.decodes > 0) this.noteDecodes(load.decodes, load.decodeContextTokens);
    if (load.prefillTokens > this.prefillTokens) this.prefillTokens = load.prefillTokens;
    const contextTokens = load.prefills === 0 ? 0 : load.prefillContextTokens / load.prefills;
    if (contextTokens > this.contextTokens) this.contextTokens = contextTokens;
  }

  noteDecodes(decodes: number, contextTokens: number): void {
    if (decodes > this.decodes) this.decodes = decodes;
    if (contextTokens > this.contextTokens * decodes) this.contextTokens = contextTokens / decodes;
  }

  /** What of it `step` was not tried with, as a line about `pool`; null when all was, or when nothing is known. */
  beyond(pool: string, step: StepModel): string | null {
    const context = Math.round(this.contextTokens);
    const found = step.trust?.outOfRange({
      ...emptyLoad(),
      decodes: this.decodes,
      decodeContextTokens: this.decodes * context,
      prefills: 1,
      prefillTokens: this.prefillTokens,
      prefillContextTokens: context,
    });
    return found == null ? null : `${pool}: beyond what its step times were tried with: ${found}`;
  }
}

/** A step model that notes what it is asked. */
const noting = (step: StepModel, range: LoadRange): StepModel => ({
  ...step,
  stepNs(load) {
    range.note(load);
    return step.stepNs(load);
  },
});

export interface WatchedPool {
  spec: PoolSpec;
  beyond(): string[];
}

/** The pool with step models that note what they are asked, for an engine that asks for every step. */
export function watchLoads(spec: PoolSpec): WatchedPool {
  const { disaggregation: halves } = spec;
  const own = new LoadRange();
  const prefill = new LoadRange();
  return {
    spec: {
      ...spec,
      step: noting(spec.step, own),
      disaggregation:
        halves === null
          ? null
          : { ...halves, prefill: { ...halves.prefill, step: noting(halves.prefill.step, prefill) } },
    },
    beyond: () =>
      [
        own.beyond(spec.name, spec.step),
        halves === null ? null : prefill.beyond(`${spec.name}/prefill`, halves.prefill.step),
      ].filter(line => line !== null),
  };
}
