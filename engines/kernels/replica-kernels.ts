// What the kernels of one replica take, us on each of its GPUs: the measured parts that a step is the sum of.
import type { StepRange } from '../engine.ts';
import type { Grid } from '../steps/curve.ts';

/** Cards without NVLink: the path between them belongs to the server, not to the card. */
export const PCIE_NOTE =
  'traffic between GPUs over PCIe, as measured on one machine: on another it can take half or twice as long';

export interface ReplicaKernels {
  layers: number;
  /** Token counts at which the measured times bend, from 0. */
  tokenKnots: readonly number[];
  /** One layer but for attention: norms, projections, experts, all-reduce. */
  layerUs(tokens: number): number;
  /** Once a step: embedding, last norm. */
  stepUs(tokens: number): number;
  /** Sequence counts at which the times of unembedding and sampling bend, from 0. */
  sequenceKnots: readonly number[];
  /** Once a step: unembedding and sampling, for the sequences that give a token. */
  sequencesUs(samples: number): number;
  /** Attention of one layer in a step of decodes alone: rows are decodes, columns their mean context. */
  decode: Grid;
  /** Attention of one layer for prompts: `pairs` of (query, key) over `tokens` in `prefills` chunks. */
  prefillUs(tokens: number, pairs: number, prefills: number): number;
  /** What decodes add to that: other kernels run than in a step of their own. */
  besideUs(prefillTokens: number, decodes: number, meanContextTokens: number): number;
  /** Fitted: gaps between the kernels of a layer, and kernels that were not measured, us. */
  gapUs: number;
  /** Fitted: what a running sequence adds beside its kernels (input preparation, uneven contexts), us. */
  sequenceUs: number;
  /** What they are the kernels of, and who measured them. */
  source: string;
  /** Mean relative error to expect, by the runs it was tried on. */
  error: { ttft: number | null; tpot: number | null; e2e: number | null };
  nearest: string;
  /** What may differ on another machine; null where nothing stands out. */
  note: string | null;
  range: StepRange;
}
