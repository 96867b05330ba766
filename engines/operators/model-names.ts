// Models by their Hugging Face names: the catalogue's own, and their instruct, dated and quantised checkpoints, whose
// architecture is the same.
import type { WeightType } from '../../scenarios/formats/deployment/pool.ts';
import models from '../catalog/models.json' with { type: 'json' };
import type { Model } from '../catalog.ts';

/** Names of the models that ship; a user's own have none. */
const REPOS: readonly { id: string; hfRepo: string | null }[] = models.rows;

/** What a checkpoint's name says of its weights; null: a type that a deployment file does not have. */
const QUANTISED: readonly (readonly [RegExp, WeightType | null])[] = [
  [/-(nv)?fp4(-.*)?$/, 'nvfp4'],
  [/-(fp8(-.*)?|w8a8-fp8|float8)$/, 'fp8'],
  [/-bf16$/, 'bf16'],
  [/-(awq|gptq|int[48]|w4a16|w8a8|w8a16|gguf|mxfp4|bnb)(-.*)?$/, null],
];

/** The architecture that a name stands for. */
function stem(name: string): string {
  let word = (name.split('/').at(-1) ?? '').toLowerCase().replace(/^meta-/, '');
  for (const [pattern] of QUANTISED) word = word.replace(pattern, '');
  return word.replace(/-(instruct|it|chat|base|hf)(-\d{4})?$/, '').replace(/-\d{4}$/, '');
}

export interface NamedModel {
  readonly id: string;
  /** Of a quantised checkpoint: its weights; null where a deployment file has no such type. */
  readonly weights: WeightType | null | undefined;
  /** Whether it is the very name of the catalogue. */
  readonly isExact: boolean;
}

/** The catalogue's model behind a name; null: none. */
export function modelNamed(name: string, added: readonly Model[]): NamedModel | null {
  const weights = QUANTISED.find(([pattern]) => pattern.test(name.toLowerCase()))?.[1];
  const rows = [...REPOS, ...added.map(({ id }) => ({ id, hfRepo: null }))];
  const exact = rows.find(({ id, hfRepo }) => hfRepo === name || id === name);
  if (exact !== undefined) return { id: exact.id, weights: undefined, isExact: true };
  const wanted = stem(name);
  const near = rows.find(({ id, hfRepo }) => wanted === id || (hfRepo !== null && stem(hfRepo) === wanted));
  return near === undefined ? null : { id: near.id, weights, isExact: false };
}

/** The Hugging Face name of a catalogue id; null where none is known. */
export const hfName = (id: string): string | null => REPOS.find(row => row.id === id)?.hfRepo ?? null;

/** An id for a model that the catalogue does not have. */
export const idFor = (name: string): string =>
  (name.split('/').at(-1) ?? '')
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '') || 'model';
