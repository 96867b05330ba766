// Which step model predicts an experiment: the physics of the catalogue, sums of measured kernels, or the better known.
import type { StepModel } from '../../engines/engine.ts';
import type { PlacedSetup } from '../../engines/memory.ts';
import { createStep } from '../../engines/step-models.ts';
import { covers } from '../../engines/steps/kernels.ts';
import { Refused } from './experiment.ts';

export const STEP_CHOICES = ['auto', 'physics', 'kernels'] as const;
export type StepChoice = (typeof STEP_CHOICES)[number];

/** `auto`: kernels where the tables cover the replica, else physics. */
export const stepBy =
  (choice: StepChoice) =>
  (setup: PlacedSetup): StepModel => {
    const kernels = choice === 'kernels' || (choice === 'auto' && covers(setup));
    const { step, issues } = createStep({ model: kernels ? 'kernels' : 'roofline' }, setup, []);
    if (step === null) throw new Refused(issues.map(each => each.message).join('; '));
    return step;
  };
