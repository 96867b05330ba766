// The catalogue: GPUs, open models and API list prices, with their sources. A null means "not known from a source
// that was read": whoever needs it refuses (WT1202) and names the key; nothing is guessed.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { CatalogModel } from '../scenarios/formats/catalog.ts';
import { didYouMean } from '../scenarios/formats/suggest.ts';
import apiLatency from './catalog/api-latency.json' with { type: 'json' };
import apiPrices from './catalog/api-prices.json' with { type: 'json' };
import gpus from './catalog/gpus.json' with { type: 'json' };
import models from './catalog/models.json' with { type: 'json' };

export interface GpuPrice {
  provider: string;
  usdPerGpuHour: number;
  source: string;
  asOf: string;
}

/** An accelerator. FLOP/s are dense; link bandwidths are per direction. */
export interface Gpu {
  id: string;
  name: string;
  vendor: string;
  architecture: string;
  /** `shipping`, or `announced …`: figures that the vendor may still revise. */
  status: string;
  memoryType: string;
  memoryBytes: number;
  memoryBandwidthBytesPerSec: number;
  bf16DenseFlops: number | null;
  fp8DenseFlops: number | null;
  fp4DenseFlops: number | null;
  /** Best GEMM rate measured by others: an upper bound. */
  bf16AchievableFlops: number | null;
  fp8AchievableFlops: number | null;
  scaleUpBandwidthBytesPerSecPerDirection: number | null;
  scaleUpName: string | null;
  scaleUpDomainGpus: number | null;
  p2pLatencySec: number | null;
  pcieBandwidthBytesPerSecPerDirection?: number | null;
  prices: readonly GpuPrice[];
  source: readonly string[];
}

/** An open-weights model: what FLOPs, weight bytes and KV bytes per token are computed from. */
export type Model = Readonly<CatalogModel>;
export type MixtureOfExperts = NonNullable<Model['moe']>;
export type LatentAttention = NonNullable<Model['mla']>;

/** List price of a hosted model, USD per million tokens. */
export interface ListPrice {
  id: string;
  provider: string;
  inputUsdPerMTok: number;
  outputUsdPerMTok: number;
  cacheReadUsdPerMTok: number | null;
  cacheWriteUsdPerMTok: number | null;
  maxInputTokens: number | null;
  source: string;
  asOf: string;
}

const gpuRows: readonly Gpu[] = gpus.rows;
const modelRows: readonly Model[] = models.rows;
const priceRows: readonly ListPrice[] = apiPrices.rows;

export const allGpus = (): readonly Gpu[] => gpuRows;
export const allModels = (): readonly Model[] => modelRows;
export const allListPrices = (): readonly ListPrice[] => priceRows;

export const findGpu = (id: string): Gpu | null => gpuRows.find(row => row.id === id) ?? null;

/** `added`: rows of the user's own catalogue file, which never have the id of a row that ships. */
export const findModel = (id: string, added: readonly Model[] = []): Model | null =>
  modelRows.find(row => row.id === id) ?? added.find(row => row.id === id) ?? null;

/** Open models that a vendor also sells by the token. The Groq rows are a third party's price, not the vendor's. */
const SOLD_AS: Readonly<Record<string, string>> = {
  'mistral-small-4': 'mistral/mistral-small-2603',
  'ministral-3-14b': 'mistral/ministral-3-14b-2512',
  'mistral-medium-3.5': 'mistral/mistral-medium-3-5',
  'mistral-large-3': 'mistral/mistral-large-3',
  'mistral-large-4': 'mistral/mistral-large-4',
  'deepseek-v4-pro': 'deepseek/deepseek-v4-pro',
  'deepseek-v4-flash': 'deepseek/deepseek-v4-flash',
  'gpt-oss-120b': 'groq/openai/gpt-oss-120b',
  'gpt-oss-20b': 'groq/openai/gpt-oss-20b',
};

/** The API price of the same open model; also of a price row's own id; null where none is known. */
export function listPrice(modelId: string): ListPrice | null {
  const priceId = Object.hasOwn(SOLD_AS, modelId) ? SOLD_AS[modelId] : modelId;
  return priceRows.find(row => row.id === priceId) ?? null;
}

/** How fast a hosted model answered when somebody measured it: medians of short prompts, ms. */
export interface MeasuredLatency {
  id: string;
  ttftMs: number | null;
  tpotMs: number | null;
  source: readonly string[];
}
const latencyRows: readonly MeasuredLatency[] = apiLatency.rows;

/** By the id of its price or of its model; null where no measurement was read. */
export function measuredLatency(modelId: string): MeasuredLatency | null {
  const priceId = Object.hasOwn(SOLD_AS, modelId) ? SOLD_AS[modelId] : modelId;
  return latencyRows.find(row => row.id === priceId) ?? null;
}

/** What else there is to do about an entry that is not there. */
const OTHERWISE = {
  GPU: '; or give `gpu_figures`',
  model: '; `windtunnel catalog add config.json` adds one',
  price: '; or give `price`',
} as const;

/** WT1201: `id` is not in the catalogue; what is sold by the token may go by the id of its price or of its model. */
export function unknownEntry(
  kind: 'GPU' | 'model' | 'price',
  id: string,
  path: InputPath,
  added: readonly Model[] = [],
): Issue {
  const known = {
    GPU: gpuRows,
    model: [...modelRows, ...added],
    price: [...priceRows, ...modelRows],
  }[kind].map(row => row.id);
  const list = `\`windtunnel catalog\` lists every ${kind}${OTHERWISE[kind]}`;
  const near = didYouMean(id, known);
  return issue(
    path,
    'WT1201',
    `the catalogue has no ${kind}${kind === 'price' ? ' of' : ''} "${id}"`,
    near === null ? list : `${near} ${list}`,
  );
}

/** Figures of a GPU that a file may give, by the key they have there. */
const IN_FILE: Readonly<Record<string, string>> = {
  bf16DenseFlops: 'bf16_tflops',
  fp8DenseFlops: 'fp8_tflops',
  fp4DenseFlops: 'fp4_tflops',
  scaleUpBandwidthBytesPerSecPerDirection: 'link_bandwidth',
  scaleUpDomainGpus: 'link_gpus',
  p2pLatencySec: 'link_latency',
};

/** WT1202: the catalogue's entry has null where a figure is needed; `instead` says what to give in the file. */
export function unknownFigure(
  path: InputPath,
  id: string,
  key: string,
  need: string,
  instead: string,
): Issue {
  const given = Object.hasOwn(IN_FILE, key) ? `give gpu_figures.${IN_FILE[key]}, or ` : '';
  const hint = `${given}${instead}`;
  return issue(path, 'WT1202', `the catalogue has no "${key}" for ${id}, needed for ${need}`, hint);
}
