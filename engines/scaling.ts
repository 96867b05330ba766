// The autoscaler of a pool, as its file names it: bounds, signals and drain apart, what is left are the policy's options.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { MachineFile } from '../scenarios/formats/deployment/pool.ts';
import type { ScalingSpec } from './engine.ts';

/** Kubernetes would kill a pod after 30 s; who drains long answers raises it to the longest they have. */
const DRAIN_MAX_MS = 600_000;

/** Null where the file has no autoscaler: then `replicas` is fixed. */
export function resolveScaling(
  { autoscaler, drain, drain_max, replicas = 1 }: MachineFile,
  path: InputPath,
): { scaling: ScalingSpec | null; evidence: string[]; issues: Issue[] } {
  if (autoscaler === undefined) {
    const useless = drain === undefined ? (drain_max === undefined ? null : 'drain_max') : 'drain';
    if (useless === null) return { scaling: null, evidence: [], issues: [] };
    const message = `\`${useless}\` says nothing where replicas stay`;
    const found = issue([...path, useless], 'WT1005', message, 'give an `autoscaler`, or leave it out', {
      atKey: true,
    });
    return { scaling: null, evidence: [], issues: [found] };
  }
  const { policy, min = 1, max, signal_age = 0, ...options } = autoscaler;
  const at = [...path, 'autoscaler', 'min'];
  if (min > max) {
    const found = issue(at, 'WT1005', `min ${min} is above max ${max}`, 'swap them?');
    return { scaling: null, evidence: [], issues: [found] };
  }
  const first = Math.min(max, Math.max(min, replicas));
  return {
    scaling: {
      policy,
      options,
      min,
      max,
      signalAgeMs: signal_age,
      drain: drain ?? 'calls',
      drainMaxMs: drain_max ?? DRAIN_MAX_MS,
    },
    evidence: [`autoscaler ${policy}: ${min} to ${max} replicas, ${first} at the start`],
    issues: [],
  };
}
