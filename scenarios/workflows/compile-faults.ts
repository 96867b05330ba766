// The faults of a scenario: replicas that are lost, and all that goes wrong beside. The schema has checked their quantities.
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { FAULTS, type FaultFile, idleKeys } from '../formats/faults.ts';
import type { PlannedCrash, PlannedFault } from '../formats/plan.ts';
import { parseScalar } from '../formats/quantity.ts';
import { didYouMean } from '../formats/suggest.ts';

/** How often a runaway step repeats where the file does not say: far beyond a loop that makes progress; our choice. */
const RUNAWAY_TIMES = 10;

const value = (raw: string | number | undefined, dimension: 'ms' | 'perSec' | 'ratio'): number | null => {
  const parsed = raw === undefined ? null : parseScalar(raw, dimension);
  return parsed !== null && 'value' in parsed ? parsed.value : null;
};

/** One for each `replica_crash`. */
export const compileCrashes = (faults: readonly FaultFile[]): PlannedCrash[] =>
  faults.flatMap(({ fault, target, at, rate }, index) =>
    fault === 'replica_crash'
      ? [{ fault: index, pool: target ?? null, atMs: value(at, 'ms'), perSec: value(rate, 'perSec') }]
      : [],
  );

/** One for each of any other kind. */
export const compileFaults = (faults: readonly FaultFile[]): PlannedFault[] =>
  faults.flatMap((each, index) => {
    const { fault: kind, target, at, rate, for: lasts, factor, share, label } = each;
    if (kind === 'replica_crash') return [];
    const perSec = value(rate, 'perSec');
    return [
      {
        fault: index,
        kind,
        target: target ?? null,
        atMs: perSec === null ? (value(at, 'ms') ?? 0) : null,
        perSec,
        lastsMs: value(lasts, 'ms') ?? Number.POSITIVE_INFINITY,
        factor: factor ?? (kind === 'runaway' ? RUNAWAY_TIMES : 1),
        share: value(share, 'ratio') ?? 1,
        label: kind === 'runaway' ? (label ?? 'loop') : kind,
      },
    ];
  });

/** What a target may name, by what kind of thing it is; kinds that only a deployment knows are checked with it. */
export type KnownTargets = Readonly<Record<'tool' | 'workflow' | 'step', readonly string[]>>;

/** Keys that mean nothing for a kind, and targets that there are not. */
export function checkFaults(faults: readonly FaultFile[], known: KnownTargets, issues: Issue[]): void {
  for (const [index, each] of faults.entries()) {
    const path: InputPath = ['faults', index];
    const { target: kind, keys } = FAULTS[each.fault];
    for (const key of idleKeys(each)) {
      const hint =
        keys.length === 0 ? 'a lost replica is started again at once' : `it has: ${keys.join(', ')}`;
      const message = `\`${key}\` means nothing for a ${each.fault}`;
      issues.push(issue([...path, key], 'WT1005', message, hint, { atKey: true }));
    }
    if (each.at !== undefined && each.rate !== undefined)
      issues.push(
        issue([...path, 'rate'], 'WT1005', 'a fault has `at` or `rate`, not both', 'keep one of them'),
      );
    const needsFactor = each.fault === 'slow_replica' && each.factor === undefined;
    if (needsFactor)
      issues.push(issue([...path, 'factor'], 'WT1004', 'missing key "factor"', 'how much slower: factor: 3'));
    if (each.target === undefined || !(kind in known)) continue;
    const names = known[kind as keyof KnownTargets];
    if (names.includes(each.target)) continue;
    const hint = didYouMean(each.target, names) ?? `known: ${names.join(', ')}`;
    issues.push(issue([...path, 'target'], 'WT1102', `unknown ${kind} "${each.target}"`, hint));
  }
}
