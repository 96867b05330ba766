// A result with as much in it as any can have: what a run of a million calls leaves.
import { summarise } from '../../reports/summary.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { anAgentRun } from './agents.ts';

/** As large as a result can be: what a run of a million calls leaves in it. */
export function aHugeRun(seed: number): RunResult {
  const run = summarise(anAgentRun({ workflows: 250, seed }), () => `digest ${seed}`);
  const point = run.timeline[0]!;
  const noise = (i: number, most: number): number => ((i * 7919 + seed * 104_729) % 9973) * (most / 9973);
  const bar = run.exemplars[0]!.bars[0]!;
  return {
    ...run,
    timeline: Array.from({ length: 12_000 }, (_, i) => ({
      ...point,
      pool: `pool-${Math.floor(i / 2000)}`,
      atMs: (i % 2000) * 50.123,
      runningRequests: Math.floor(noise(i, 256)),
      waitingRequests: Math.floor(noise(i + 1, 64)),
      kvUsedRatio: noise(i + 2, 1),
      inFlightWorkflows: Math.floor(noise(i + 3, 900)),
    })),
    rates: Array.from({ length: 500 }, (_, i) => ({
      atMs: i * 200.5,
      sessionsPerSec: noise(i, 9),
      callsWantedPerSec: noise(i + 1, 90),
      callsDonePerSec: noise(i + 2, 90),
      prefillTokensPerSec: noise(i + 3, 90_000),
      decodeTokensPerSec: noise(i + 4, 9_000),
      cacheHitRatio: noise(i + 5, 1),
      preemptionsPerSec: noise(i + 6, 1),
      errorsPerSec: noise(i + 7, 1),
      retriesPerSec: noise(i + 8, 1),
    })),
    exemplars: Array.from({ length: 203 }, (_, i) => ({
      ...run.exemplars[0]!,
      label: (['p50', 'p95', 'max'] as const)[i] ?? 'sample',
      session: `session/${i}`,
      bars: Array.from({ length: i < 3 ? 400 : 40 }, (_, j) => ({
        ...bar,
        call: `companies[${j % 9}]/classify[${j}]/label`,
        lane: `companies[${j % 9}]/classify[${j}]`,
        startMs: j * 10 + noise(i + j, 9),
        endMs: j * 10 + 50 + noise(i + j, 90),
        phases: ['queue', 'prefill', 'decode'].map((phase, k) => ({
          phase: phase as 'queue',
          startMs: j * 10 + k * 10 + noise(i + j, 9),
          endMs: j * 10 + k * 10 + 10 + noise(i + j, 9),
        })),
      })),
    })),
  };
}
