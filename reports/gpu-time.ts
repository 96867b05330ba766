// What paid GPU time went into. A replica that computes mixes prompts and decodes in one step, so the split of its busy
// time is one of weights: by the marginal time of each prompt token and each decode, as the ledger splits cost.
import type { GpuTime } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';

/**
 * GPU-seconds of a simulated run; null where nobody kept the books, or no GPU was there. Cold is the time from the wish
 * for a replica until it was ready; idle is what is left of the paid time, the fixed share of a step counting as work.
 */
export function gpuTimeOf({
  ledger,
  replicas,
  busy,
  durationMs,
}: Pick<RunOutput, 'ledger' | 'replicas' | 'busy' | 'durationMs'>): GpuTime | null {
  if (ledger === undefined || replicas === undefined || busy === undefined) return null;
  const { gpuSeconds, prefillGpuSeconds } = ledger;
  if (gpuSeconds.paid === 0) return null;
  const cold = replicas.reduce((sum, { askedMs, readyMs, goneMs, gpus }) => {
    const untilMs = Math.min(readyMs ?? Number.POSITIVE_INFINITY, goneMs ?? durationMs);
    return sum + (Math.max(0, untilMs - askedMs) * gpus) / 1000;
  }, 0);
  return {
    prefill: prefillGpuSeconds,
    decode: gpuSeconds.busy - prefillGpuSeconds,
    idle: Math.max(0, gpuSeconds.paid - gpuSeconds.busy - cold),
    cold,
  };
}
