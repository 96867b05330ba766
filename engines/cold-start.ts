// How long a replica takes from the wish for it to its first answer (policies §3.6): schedule + node + image + weights +
// compile + CUDA graphs + warm-up. Weights come through the slower of the storage and the PCIe links of the GPUs.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import { extend, uniform } from '../scenarios/base/key.ts';
import { constant, type DrawnAmount, drawAmount } from '../scenarios/formats/amount.ts';
import type { ColdStartFile, ColdStartParts } from '../scenarios/formats/deployment/cold-start.ts';
import { unknownEntry, unknownFigure } from './catalog.ts';
import type { ColdStart } from './engine.ts';
import { type ReplicaSetup, weightBytes } from './memory.ts';

export interface ResolvedColdStart {
  coldStart: ColdStart | null;
  evidence: string[];
  issues: Issue[];
}

/** What a cold start is of. */
export interface ColdReplica {
  /** Catalogue id, for messages. */
  readonly modelId: string;
  readonly setup: ReplicaSetup;
  /** Of one replica, over all its ranks and stages. */
  readonly gpus: number;
}

/** A part of a cold start. */
interface Part {
  readonly text: string;
  readonly of: DrawnAmount;
}

/** A pool's `cold_start`; null without one: a new replica is ready at once. */
export function resolveColdStart(
  file: ColdStartFile | undefined,
  replica: ColdReplica,
  path: InputPath,
): ResolvedColdStart {
  if (file === undefined) return { coldStart: null, evidence: [], issues: [] };
  const parts: Part[] = [];
  if ('kind' in file) parts.push({ text: 'as given', of: file });
  else {
    const weights = file.weights === undefined ? null : weightsPart(file.weights, replica, path);
    if (weights !== null && 'code' in weights) return { coldStart: null, evidence: [], issues: [weights] };
    parts.push(...partsOf(file, weights));
  }
  const coldStart = sumOf(parts);
  return { coldStart, evidence: [`cold start: ${coldStart.text}`], issues: [] };
}

const SPAN = 2 ** 32;

/** A uniform number of each part from the one of the whole, hashed: parts are drawn apart. */
const partUniform = (draw: number, index: number): number =>
  uniform(extend({ hi: Math.floor(draw * SPAN) | 0, lo: Math.floor(((draw * SPAN) % 1) * SPAN) | 0 }, index));

function sumOf(parts: readonly Part[]): ColdStart {
  const medians = parts.map(({ of }) => drawAmount(of, 0.5, false));
  const medianMs = medians.reduce((sum, each) => sum + each, 0);
  const [only] = parts;
  const listed = parts.map(({ text, of }, index) => {
    const about = of.of.kind === 'constant' ? '' : 'about ';
    return `${text} ${about}${seconds(medians[index]!)}`;
  });
  return {
    medianMs,
    draw:
      parts.length === 1
        ? draw => drawAmount(only!.of, draw, false)
        : draw =>
            parts.reduce((sum, { of }, index) => sum + drawAmount(of, partUniform(draw, index), false), 0),
    text: parts.length === 1 ? listed[0]! : `${listed.join(' + ')} = ${seconds(medianMs)}`,
  };
}

const seconds = (ms: number): string => `${Number((ms / 1000).toPrecision(3))} s`;
const gigabytes = (bytes: number): string => `${Number((bytes / 1e9).toPrecision(3))} GB`;

function partsOf(file: ColdStartParts, weights: Part | null): Part[] {
  const { schedule, node, image, compile, graphs, warm_up } = file;
  const named = (text: string, of: DrawnAmount | undefined): Part[] =>
    of === undefined ? [] : [{ text, of }];
  return [
    ...named('schedule', schedule),
    ...named('node', node),
    ...(image === undefined ? [] : [imagePart(image)]),
    ...(weights === null ? [] : [weights]),
    ...named('compile', compile),
    ...named('CUDA graphs', graphs),
    ...named('warm-up', warm_up),
  ];
}

const imagePart = ({ size, bandwidth, cached = 0 }: NonNullable<ColdStartParts['image']>): Part => ({
  text: `image (${gigabytes(size * (1 - cached))} at ${gigabytes(bandwidth)}/s)`,
  of: constant((size * (1 - cached) * 1000) / bandwidth),
});

/**
 * max(bytes · (1 - cached) / storage, bytes / (PCIe · GPUs)): what is cached still crosses PCIe. Bytes are of the model and
 * its draft, once: ranks of a replica that hold the same weights read them from one copy.
 */
function weightsPart(
  file: NonNullable<ColdStartParts['weights']>,
  { modelId, setup, gpus }: ColdReplica,
  path: InputPath,
): Part | Issue {
  const { model, gpu, draft = null, weights } = setup;
  const at = [...path, 'cold_start', 'weights'];
  if (model === null) return unknownEntry('model', modelId, [...path, 'model']);
  const bytes = weightBytes(model, weights);
  const drafted = draft === null ? 0 : weightBytes(draft, weights);
  if (bytes === null || drafted === null) {
    const id = bytes === null ? modelId : draft!.id;
    return unknownFigure(at, id, 'totalParams', 'the weight bytes', 'give `cold_start` as one duration');
  }
  const perGpu = file.pcie ?? gpu?.pcieBandwidthBytesPerSecPerDirection ?? null;
  if (perGpu === null) {
    if (gpu === null)
      return issue([...at, 'pcie'], 'WT1004', 'missing key "pcie"', 'without a GPU nobody knows it');
    const key = 'pcieBandwidthBytesPerSecPerDirection';
    return unknownFigure(at, gpu.id, key, 'loading the weights', 'give cold_start.weights.pcie');
  }
  const all = bytes + drafted;
  const fromStorageMs = (all * (1 - (file.cached ?? 0)) * 1000) / file.bandwidth;
  const overPcieMs = (all * 1000) / (perGpu * gpus);
  const way =
    fromStorageMs >= overPcieMs
      ? `from storage at ${gigabytes(file.bandwidth)}/s`
      : `over PCIe at ${gigabytes(perGpu * gpus)}/s`;
  return { text: `weights (${gigabytes(all)} ${way})`, of: constant(Math.max(fromStorageMs, overPcieMs)) };
}
