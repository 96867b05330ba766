// A validation of a made-up run: the simulation is a twentieth too fast, and saw the incident as well.
import { compareWorlds } from '../../lab/validate/compare.ts';
import { incidentOf } from '../../lab/validate/incident.ts';
import { verdictOf } from '../../lab/validate/verdict.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import {
  type SeriesComparison,
  type SeriesPoint,
  VALIDATION_SCHEMA_VERSION,
  type ValidationResult,
} from '../../scenarios/formats/validation.ts';
import { anAgentRun } from './agents.ts';

/** TTFT of 400 ms, and 6 s from the eighth to the tenth of twelve minutes; the simulation a little less. */
export function aSeries(): SeriesComparison {
  const points = Array.from({ length: 12 }, (_, i): SeriesPoint => {
    const measured = i >= 7 && i < 10 ? 6000 : 400;
    return { atMs: (i + 1) * 60_000, measured, predicted: measured * 0.9, live: null };
  });
  const figure = { metric: 'TTFT p95', unit: 'ms' as const, windowMs: 60_000 };
  const incident = incidentOf(points, figure, atMs => `minute ${atMs / 60_000}`);
  return { ...figure, predicted: 'sim', measured: 'recorded', points, errorRatio: -0.1, incident };
}

export function aValidation({ sim, live }: { sim: RunResult; live: RunResult }): ValidationResult {
  const measured = [1.05, 1.06].map(slowdown => anAgentRun({ workflows: 60, world: 'live', slowdown }));
  const comparison = compareWorlds(
    { world: 'sim', runs: [anAgentRun({ workflows: 60 })] },
    { world: 'live', runs: measured },
    { timeRatio: 0.03, tailRatio: 0.06, countRatio: 0 },
  );
  const series = [aSeries()];
  const repeats = ['live', 'live-2'].map(folder => ({ folder, valid: true, invalidReason: null }));
  return {
    schemaVersion: VALIDATION_SCHEMA_VERSION,
    kind: 'validation',
    sim,
    live,
    repeats,
    comparisons: [comparison],
    series,
    verdict: verdictOf({ comparison, series, live: measured, repeats }),
    warnings: ['3 of 96 recorded calls have no TTFT'],
    pass: comparison.pass,
  };
}
