// Which step model predicts an experiment: the physics of the catalogue, sums of measured kernels, or the better known.
import type { StepModel } from '../../engines/engine.ts';
import type { PlacedSetup } from '../../engines/memory.ts';
import { createStep } from '../../engines/step-models.ts';
import { generationOf } from '../../engines/steps/kernel-rates.ts';
import { covers } from '../../engines/steps/kernels.ts';
import { Refused } from './experiment.ts';

export const STEP_CHOICES = ['auto', 'physics', 'kernels'] as const;
export type StepChoice = (typeof STEP_CHOICES)[number];

/**
 * Where the tables cover a replica and predicted measured runs better than the physics did with that model left out:
 * not on Blackwell (TPOT 9.3 against 8.5 %), and not where every head has keys of its own, which the attention tables
 * lack (Llama-2-7B: 11 against 6 %). docs/fidelity.md has the pairs.
 */
const kernelsAreBetter = (setup: PlacedSetup): boolean =>
  covers(setup) &&
  generationOf(setup.gpu) !== 'blackwell' &&
  setup.model.numKvHeads !== setup.model.numAttentionHeads;

/** `auto`: kernels where they are the better, else physics. */
export const stepBy =
  (choice: StepChoice) =>
  (setup: PlacedSetup): StepModel => {
    const kernels = choice === 'kernels' || (choice === 'auto' && kernelsAreBetter(setup));
    const { step, issues } = createStep({ model: kernels ? 'kernels' : 'roofline' }, setup, []);
    if (step === null) throw new Refused(issues.map(each => each.message).join('; '));
    return step;
  };
