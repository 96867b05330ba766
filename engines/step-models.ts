// The step models, one line each: name, what it is, and how a pool's file becomes one.
import type { InputPath, Issue } from '../scenarios/base/issue.ts';
import { issue } from '../scenarios/base/issue.ts';
import type { StepFile } from '../scenarios/formats/deployment/pool.ts';
import { affine } from './affine.ts';
import type { StepModel } from './engine.ts';
import type { ReplicaSetup } from './limits.ts';
import { roofline } from './roofline.ts';

export interface StepResult {
  step: StepModel | null;
  /** What the step rests on beyond its own evidence. */
  notes: string[];
  issues: Issue[];
}

/** Step models that exist; the others of the language no run obeys yet. */
type Built = Extract<StepFile['model'], 'roofline' | 'affine'>;

interface StepModelPart<K extends Built> {
  /** One line for --help and the catalogue. */
  doc: string;
  /** Keys of the step, in words. */
  options: string;
  /** Where the form and its factors come from. */
  source: string;
  create(step: Extract<StepFile, { model: K }>, setup: ReplicaSetup, path: InputPath): StepResult;
}

export const stepModels: { readonly [K in Built]: StepModelPart<K> } = {
  roofline: {
    doc: 'Bytes and FLOPs of the catalogue with fitted factors: any model on any GPU, for ranking.',
    options: 'none',
    source: 'fitted on measured vLLM 0.11 to 0.15 runs on H100, A100 and L40S',
    create(_step, setup, path) {
      const { model, gpu } = setup;
      if (model !== null && gpu !== null) return roofline({ ...setup, model, gpu }, path);
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
};

/** The step model of a pool. */
export function createStep(step: StepFile, setup: ReplicaSetup, path: InputPath): StepResult {
  switch (step.model) {
    case 'roofline':
      return stepModels.roofline.create(step, setup, path);
    case 'affine':
      return stepModels.affine.create(step, setup, path);
    case 'profile':
    case 'kernels':
      // No run gets here (formats/deployment/unbuilt.ts); a check looks at the rest of the file.
      return stepModels.roofline.create({ model: 'roofline' }, setup, path);
  }
}
