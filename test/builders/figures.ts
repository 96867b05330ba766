// Figures of runs for tests of what compares them: defaults for everything that the test is not about.
import { compare, type PolicyRuns } from '../../lab/policy-bench/compare.ts';
import type { RunFigures } from '../../scenarios/formats/grid.ts';
import type { PolicyBenchResult } from '../../scenarios/formats/policy-bench.ts';

export const figuresOf = (fields: Partial<RunFigures> = {}): RunFigures => ({
  durationMs: 60_000,
  windowMs: 50_000,
  calls: 1000,
  failedCalls: 0,
  goodCalls: 1000,
  sessions: 100,
  completedSessions: 100,
  goodSessions: 100,
  firstAnswerMs: 50,
  waitingMost: 2,
  offeredPerSec: 20,
  servedPerSec: 20,
  goodputPerSec: 20,
  sloRatio: 1,
  makespanMsMean: 2200,
  makespanMsP50: 2000,
  makespanMsP95: 4000,
  makespanMsP99: 5000,
  ttftMsMean: 60,
  ttftMsP50: 50,
  ttftMsP95: 100,
  ttftMsP99: 150,
  e2eMsP95: 1500,
  e2eMsP99: 1800,
  sessionWidthP95: 1,
  hitRatio: 0.5,
  laterHitRatio: 0.6,
  stayRatio: 0.5,
  promptTokens: 1_000_000,
  computedTokens: 600_000,
  outputTokens: 100_000,
  wasteRatio: 0,
  gpuHours: 0.1,
  coldGpuHours: 0,
  replicasMost: 1,
  replicasMostAtMs: 0,
  usd: 0.3,
  fairnessRatio: 1,
  ...fields,
});

/** A policy's runs: a row for each load, in it fields for each seed. */
export const policyRuns = (
  policy: string,
  rows: readonly (readonly Partial<RunFigures>[])[],
): PolicyRuns => ({
  policy,
  doc: `${policy} for a test`,
  options: {},
  figures: rows.map(row => row.map(fields => figuresOf(fields))),
});

/** A bench of these runs against the first of them. */
export function benchOf(runs: readonly PolicyRuns[], loadRatios: number[]): PolicyBenchResult {
  const baseline = runs[0]!.policy;
  return {
    schemaVersion: 1,
    kind: 'policy-bench',
    header: {
      tool: { name: 'agent-windtunnel', version: '0' },
      scenario: { name: 'test', sha256: 'a'.repeat(64) },
      deployment: { name: 'four', sha256: 'b'.repeat(64) },
      command: 'windtunnel bench-policies test -d four',
      evidence: ['step time: for ranking only'],
      warnings: [],
    },
    policyKind: 'routing',
    baseline,
    seeds: runs[0]!.figures[0]!.map((_, seed) => seed),
    runs: runs.length * loadRatios.length,
    callsMin: 1000,
    capacity: { callsPerSec: 100, loadFactor: 2 },
    slo: { text: 'TTFT <= 2 s and TPOT <= 50 ms', targetRatio: 0.95 },
    loadRatios,
    ...compare(runs, { baseline, loadRatios, targetRatio: 0.95 }),
    leftOut: [],
  };
}
