// The faults of a scenario that a run brings about: replicas that are lost. The schema has checked their quantities;
// formats/unbuilt.ts refuses the other kinds by name.
import type { PlannedCrash } from '../formats/plan.ts';
import { parseScalar } from '../formats/quantity.ts';
import type { ScenarioFile } from '../formats/scenario.ts';

/** One for each `replica_crash`. */
export function compileCrashes(faults: NonNullable<ScenarioFile['faults']>): PlannedCrash[] {
  const value = (raw: string | number | undefined, dimension: 'ms' | 'perSec'): number | null => {
    const parsed = raw === undefined ? null : parseScalar(raw, dimension);
    return parsed !== null && 'value' in parsed ? parsed.value : null;
  };
  return faults.flatMap(({ fault, target, at, rate }, index) => {
    if (fault !== 'replica_crash') return [];
    return [{ fault: index, pool: target ?? null, atMs: value(at, 'ms'), perSec: value(rate, 'perSec') }];
  });
}
