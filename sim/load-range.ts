// The largest loads that the steps of like replicas had, against those that their step model was tried with.
import type { StepLoad, StepModel } from '../engines/engine.ts';
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
