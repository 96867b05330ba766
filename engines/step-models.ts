// The step models, one line each: name, what it is, and how a pool's file becomes one.
import type { InputPath, Issue } from '../scenarios/base/issue.ts';
import { issue } from '../scenarios/base/issue.ts';
import type { StepFile } from '../scenarios/formats/deployment/pool.ts';
import { affine } from './affine.ts';
import type { StepModel } from './engine.ts';
import type { ReplicaSetup } from './memory.ts';
import { kernelStep, kernelsFor } from './steps/kernels.ts';
import { physics } from './steps/physics.ts';
import { profileStep } from './steps/profile.ts';

export interface StepResult {
  step: StepModel | null;
  /** What the step rests on beyond its own evidence. */
  notes: string[];
  issues: Issue[];
}

interface StepModelPart<K extends StepFile['model']> {
  /** One line for --help and the catalogue. */
  doc: string;
  /** Keys of the step, in words. */
  options: string;
  /** Where the form and its factors come from. */
  source: string;
  create(step: Extract<StepFile, { model: K }>, setup: ReplicaSetup, path: InputPath): StepResult;
}

export const stepModels: { readonly [K in StepFile['model']]: StepModelPart<K> } = {
  roofline: {
    doc: 'Sum over operators at the rates of measured kernels, with fitted factors: any model on any GPU.',
    options: 'none',
    source:
      'fitted on measured vLLM 0.11 to 0.19 runs on H100, H200, B200, B300, A100, L40S and RTX cards (docs/fidelity.md)',
    create(_step, setup, path) {
      const { model, gpu } = setup;
      if (model !== null && gpu !== null) return physics({ ...setup, model, gpu }, path);
      const message = 'the roofline step needs a model and a GPU of the catalogue';
      return { step: null, notes: [], issues: [issue([...path, 'step'], 'WT1004', message)] };
    },
  },
  affine: {
    doc: 'A constant, and a cost for each token, sequence and KV entry, as measured or as given.',
    options: 'base, per_token, per_sequence, per_context_token, per_attention_pair',
    source: 'the file itself',
    create: step => ({ step: affine(step), notes: [], issues: [] }),
  },
  kernels: {
    doc: 'Sum of measured kernels, for the cards, shapes and precisions that were measured.',
    options: 'none',
    source: 'LLMServingSim (vLLM 0.19, MIT) and aiconfigurator (vLLM 0.24, Apache-2.0); engines/kernels/',
    create(_step, setup, path) {
      const kernels = kernelsFor(setup);
      if (typeof kernels !== 'string') {
        const notes = kernels.note === null ? [] : [kernels.note];
        return { step: kernelStep(kernels), notes, issues: [] };
      }
      const what = `no sum of kernels for ${setup.model?.id ?? 'this model'} on ${setup.gpu?.id ?? 'this GPU'}`;
      const hint = 'use `step: { model: roofline }`, which prices any model of the catalogue';
      const issues = [issue([...path, 'step'], 'WT1005', `${what}: ${kernels}`, hint)];
      return { step: null, notes: [], issues };
    },
  },
  profile: {
    doc: 'The terms that were fitted on a live engine, with their range and expected error.',
    options: 'file',
    source: 'the profile',
    create({ file }, _setup, path) {
      if (typeof file !== 'string') return { step: profileStep(file), notes: [], issues: [] };
      const message = `the engine profile ${file} was not read`;
      const hint = 'give what the file says in its place: here no files are read';
      return { step: null, notes: [], issues: [issue([...path, 'step', 'file'], 'WT1001', message, hint)] };
    },
  },
};

/** The step model of a pool. */
export function createStep(step: StepFile, setup: ReplicaSetup, path: InputPath): StepResult {
  switch (step.model) {
    case 'roofline':
      return stepModels.roofline.create(step, setup, path);
    case 'affine':
      return stepModels.affine.create(step, setup, path);
    case 'kernels':
      return stepModels.kernels.create(step, setup, path);
    case 'profile':
      return stepModels.profile.create(step, setup, path);
  }
}
