// A step as the sum of measured kernels: projections and experts by tokens, attention by batch and context, unembedding
// and sampling by sequences, all-reduce by bytes. Knots become whole units once; between them the step is exact lines.
import { toUnits, unitsToNs } from '../affine.ts';
import type { DecodeLine, StepLoad, StepModel } from '../engine.ts';
import { operatorKernels } from '../kernels/operators.ts';
import type { ReplicaKernels } from '../kernels/replica-kernels.ts';
import { servedKernels } from '../kernels/served.ts';
import type { ReplicaSetup } from '../memory.ts';
import { bilinear, type Curve, curveThrough, pieceAt, valueAt } from './curve.ts';
import { beyondRange, errorText } from './evidence.ts';

/** A step is padded to the next batch size that was captured in a CUDA graph [vLLM config/compilation.py]. */
const CAPTURED_TOKENS = 512;
function padded(tokens: number): number {
  if (tokens > CAPTURED_TOKENS || tokens <= 2) return tokens;
  if (tokens <= 4) return 4;
  const by = tokens <= 256 ? 8 : 16;
  return Math.ceil(tokens / by) * by;
}

/** Kernels that price such replicas: profiled as they serve, else operator by operator; or why there are none. */
export function kernelsFor(setup: ReplicaSetup): ReplicaKernels | string {
  const { model, gpu, pipelineParallel = 1 } = setup;
  if (model === null || gpu === null) return 'kernels are known by model and GPU of the catalogue';
  if (pipelineParallel > 1) return 'kernels of pipeline stages were not measured';
  return servedKernels(setup) ?? operatorKernels({ ...setup, model, gpu });
}

/** Whether the tables price such replicas. */
export const covers = (setup: ReplicaSetup): boolean => typeof kernelsFor(setup) !== 'string';

/** Steps of so many decodes and nothing else. */
interface Batch {
  /** Units of all but attention. */
  beside: number;
  /** Units of attention by the context of the whole batch. */
  attention: Curve;
}

/** The step model of these kernels. */
export function kernelStep(kernels: ReplicaKernels): StepModel {
  const { layers, range, error, nearest } = kernels;
  const units = (us: number): number => toUnits(us / 1e6);
  const gaps = units(layers * kernels.gapUs);
  const perSequence = units(kernels.sequenceUs);
  const tokens = curveThrough(kernels.tokenKnots, n =>
    units(layers * kernels.layerUs(n) + kernels.stepUs(n)),
  );
  const samples = curveThrough(kernels.sequenceKnots, n => units(kernels.sequencesUs(n)));
  const besideAttention = (sequences: number, count: number, sampled: number): number =>
    gaps + perSequence * sequences + valueAt(tokens, padded(count)) + valueAt(samples, sampled);
  const batches: (Batch | undefined)[] = [];
  /** Made when a batch size first comes up. */
  const batchOf = (decodes: number): Batch => {
    batches[decodes] ??= {
      beside: besideAttention(decodes, decodes, decodes),
      attention: curveThrough(
        [0, ...kernels.decode.columns].map(context => context * decodes),
        context => units(layers * bilinear(kernels.decode, decodes, context / decodes)),
      ),
    };
    return batches[decodes];
  };
  return {
    name: 'kernels',
    evidence: `sum of ${kernels.source}; ${errorText(error)} (${nearest}); measured up to ${range.decodes} decodes, ${range.contextTokens} tokens of context and ${range.prefillTokens} prompt tokens a step`,
    trust: { error, nearest, range, outOfRange: load => beyondRange(range, load) },
    /** Hot: once per engine step. */
    stepNs(load: StepLoad): number {
      const { decodes, decodeContextTokens, prefills, prefillTokens, prefillPairs } = load;
      if (prefills === 0) {
        // Graphs have room for one sequence at least. A prompt that stops short of its last token gives none.
        const { beside, attention } = batchOf(Math.max(1, decodes));
        const unsampled = valueAt(samples, decodes) - valueAt(samples, load.samples);
        return unitsToNs(beside - unsampled + valueAt(attention, decodeContextTokens));
      }
      const prompts = kernels.prefillUs(prefillTokens, prefillPairs, prefills);
      const beside =
        decodes === 0 ? 0 : kernels.besideUs(prefillTokens, decodes, decodeContextTokens / decodes);
      const mixed = besideAttention(decodes + prefills, decodes + prefillTokens, load.samples);
      return unitsToNs(mixed + units(layers * (prompts + beside)));
    },
    decodeLine(decodes: number, contextTokens: number): DecodeLine {
      const { beside, attention } = batchOf(decodes);
      const piece = pieceAt(attention, contextTokens);
      const slopeUnits = attention.slope[piece]!;
      return {
        interceptUnits: beside + attention.base[piece]! - slopeUnits * attention.knots[piece]!,
        slopeUnits,
        untilContextTokens: attention.knots[piece + 1] ?? Number.POSITIVE_INFINITY,
      };
    },
  };
}
