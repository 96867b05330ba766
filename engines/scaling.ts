// The autoscaler of a pool, as its file names it: bounds, signals and drain apart, what is left are the policy's options.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { MachineFile } from '../scenarios/formats/deployment/pool.ts';
import type { ScalingSpec } from './engine.ts';

/** Kubernetes would kill a pod after 30 s; who drains long answers raises it to the longest they have. */
const DRAIN_MAX_MS = 600_000;

/** What a pool without replicas still shows: what came, and what waits at the gateway. */
const WAKING = ['queue', 'in_flight', 'rate'];

/** Why a pool with no replica would never have one, and what to change; null where something wakes it. */
function asleep(
  autoscaler: NonNullable<MachineFile['autoscaler']>,
  first: number,
): { why: string; hint: string } | null {
  switch (autoscaler.policy) {
    case 'hpa':
    case 'keda':
    case 'aibrix': {
      const { metric, also = {} } = autoscaler;
      if ([metric, ...Object.keys(also)].some(each => WAKING.includes(each))) return null;
      const hint = 'scale on queue, in_flight or rate (`also` takes further metrics), or give `min: 1`';
      return { why: `${metric} is 0 then`, hint };
    }
    case 'fixed':
      if ((autoscaler.replicas ?? first) > 0) return null;
      return { why: 'it keeps what there is', hint: 'give the pool `replicas` or the autoscaler `min: 1`' };
    case 'schedule':
      if (autoscaler.times.some(({ replicas }) => replicas > 0)) return null;
      return { why: 'all its times say 0', hint: 'give one of its `times` replicas' };
    default:
      return null;
  }
}

/** Null where the file has no autoscaler: then `replicas` is fixed. */
export function resolveScaling(
  { autoscaler, drain, drain_max, replicas = 1 }: MachineFile,
  path: InputPath,
): { scaling: ScalingSpec | null; evidence: string[]; issues: Issue[] } {
  if (autoscaler === undefined) {
    if (replicas === 0) {
      const hint = 'give at least 1, or an `autoscaler` with `min: 0`';
      const found = issue([...path, 'replicas'], 'WT1005', 'a pool without replicas serves nobody', hint);
      return { scaling: null, evidence: [], issues: [found] };
    }
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
  if (replicas === 0 && min > 0) {
    const message = `the autoscaler keeps at least ${min}, so there are never 0 replicas`;
    const found = issue(
      [...path, 'replicas'],
      'WT1005',
      message,
      'give the autoscaler `min: 0`, or leave it out',
    );
    return { scaling: null, evidence: [], issues: [found] };
  }
  const first = Math.min(max, Math.max(min, replicas));
  const stuck = min === 0 ? asleep(autoscaler, first) : null;
  if (stuck !== null) {
    const message = `nothing wakes ${policy} at 0 replicas: ${stuck.why}`;
    return { scaling: null, evidence: [], issues: [issue(at, 'WT1005', message, stuck.hint)] };
  }
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
