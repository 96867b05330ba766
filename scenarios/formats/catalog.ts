// A model of the catalogue, and the file in which users add their own: what FLOPs, weight bytes and KV bytes per token are
// computed from. Null means "not known": whoever needs the figure refuses and names the key.
import { z } from 'zod';
import type { Issue } from '../base/issue.ts';
import { checkSchema, type Source } from './source.ts';

const count = z.number().positive().nullable();

const latentAttention = z.strictObject({
  kvLoraRank: z.number().positive(),
  qLoraRank: count.describe('null: queries are projected at full rank'),
  qkRopeHeadDim: z.number().positive(),
  qkNopeHeadDim: z.number().positive(),
  vHeadDim: z.number().positive(),
});

const mixtureOfExperts = z.strictObject({
  numExperts: count,
  expertsPerToken: count,
  sharedExperts: z.number().min(0).nullable(),
  expertIntermediateSize: count,
  sharedExpertIntermediateSize: count.describe('width of a shared expert where it differs from a routed one'),
  denseFirstLayers: z.number().min(0).nullable().describe('layers without experts'),
});

const slidingWindow = z
  .strictObject({ windowTokens: z.number().positive(), numSlidingLayers: count, numFullLayers: count })
  .describe('layers that see only the last tokens: their KV stops growing there');

const linearAttention = z
  .strictObject({
    numFullLayers: z.number().min(0),
    numLinearLayers: z.number().min(0).optional(),
    pattern: z.string().describe('a letter a layer, * for attention').optional(),
  })
  .describe('layers with a state of constant size beside those with a KV cache');

export const catalogModel = z
  .strictObject({
    id: z.string().min(1).describe('what `model:` names'),
    name: z.string(),
    vendor: z.string(),
    totalParams: count.describe('published count of the text model'),
    activeParamsPerToken: count.describe('published'),
    computedTotalParams: count.describe('from the dimensions'),
    computedActiveParams: count.describe('from the dimensions, embeddings included'),
    numLayers: count,
    hiddenSize: count,
    numAttentionHeads: count,
    numKvHeads: count,
    headDim: count,
    intermediateSize: count.describe('width of the MLP of a dense layer'),
    vocabSize: count,
    maxContextTokens: count,
    tieWordEmbeddings: z.boolean().nullable(),
    attention: z.string(),
    mla: latentAttention.nullable(),
    moe: mixtureOfExperts.nullable(),
    slidingWindow: slidingWindow.nullable(),
    linearAttention: linearAttention.nullable(),
    kvBytesPerTokenBf16: count.describe('KV cache of one token, summed over layers, one copy'),
    kvBytesPerTokenFp8: count,
    kvBytesPerTokenGrowing: count.describe('bf16, without layers behind a sliding window'),
    nativeWeightDtype: z.string().nullable(),
    source: z.string(),
  })
  .describe('a model');

export const catalogFileSchema = z
  .strictObject({
    windtunnel: z.literal(1).describe('version of the file format'),
    models: z.array(catalogModel).describe('models beside those that ship'),
  })
  .describe('models of your own, as `windtunnel catalog add` writes them');

export type CatalogModel = z.output<typeof catalogModel>;
export type CatalogFile = z.output<typeof catalogFileSchema>;

/** Checks a file of models: all issues at once. */
export function parseCatalogFile(source: Source): { file: CatalogFile | null; issues: Issue[] } {
  if (source.issues.length > 0) return { file: null, issues: [...source.issues] };
  const { value: file, issues } = checkSchema(catalogFileSchema, source.value, []);
  return { file, issues };
}
