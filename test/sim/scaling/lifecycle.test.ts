// Replicas over time: asked for, ready, draining, gone. The autoscaler is a list of wishes.
import { expect, test } from 'vitest';
import type { ColdStart, ScalingSpec, Spot } from '../../../engines/engine.ts';
import { seedKey } from '../../../scenarios/base/key.ts';
import { Lifecycle, type Member } from '../../../sim/scaling/lifecycle.ts';
import type { ScalingView } from '../../../sim/scaling/policy.ts';

const SEC = 1e9;

const cold = (ms: number): ColdStart => ({ draw: () => ms, medianMs: ms, text: `${ms} ms` });

/** Looks each second, and wants what the list says. */
function lifecycleOf(
  wishes: number[],
  given: {
    replicas?: number;
    coldStart?: ColdStart | null;
    spot?: Spot | null;
    scaling?: Partial<ScalingSpec>;
    fixed?: boolean;
  } = {},
) {
  const told: string[] = [];
  const views: string[] = [];
  const busy = new Set<number>();
  const tell = (what: string) => (member: Member, atNs: number) =>
    void told.push(`${atNs / SEC} ${what} ${member.id}`);
  const scaling: ScalingSpec = {
    policy: 'test',
    options: {},
    min: 0,
    max: 9,
    signalAgeMs: 0,
    drain: 'calls',
    drainMaxMs: Number.POSITIVE_INFINITY,
    ...given.scaling,
  };
  const autoscaler = {
    intervalMs: 1000,
    desired({ ready, starting, draining }: ScalingView) {
      views.push(`${ready}+${starting}-${draining}`);
      return wishes.shift() ?? ready + starting;
    },
  };
  const lifecycle = new Lifecycle({
    name: 'pool',
    replicas: given.replicas ?? 1,
    scaling: given.fixed ? null : scaling,
    autoscaler: given.fixed ? null : autoscaler,
    coldStart: given.coldStart ?? null,
    spot: given.spot ?? null,
    key: seedKey(1),
    view: () => ({}) as Omit<ScalingView, 'ready' | 'starting' | 'draining' | 'min' | 'max'>,
    sink: {
      ready: tell('ready'),
      draining: tell('draining'),
      gone: (member, started, atNs) =>
        told.push(`${atNs / SEC} gone ${member.id}${started ? '' : ' unborn'}`),
      isBusy: ({ id }) => busy.has(id),
    },
  });
  const until = (seconds: number): void => {
    for (let ns = lifecycle.nextNs(); ns <= seconds * SEC; ns = lifecycle.nextNs()) lifecycle.advanceTo(ns);
  };
  return { lifecycle, told, views, busy, until };
}

test('a fixed number is ready at the start, and nothing happens by itself', () => {
  const { lifecycle, told } = lifecycleOf([], { replicas: 2, fixed: true, coldStart: cold(5000) });
  expect(told).toEqual(['0 ready 0', '0 ready 1']);
  expect(lifecycle.nextNs()).toBe(Number.POSITIVE_INFINITY);
});

test('a new replica is ready after its cold start, and counts as starting until then', () => {
  const { told, views, until } = lifecycleOf([3, 3, 3, 3], { coldStart: cold(2500) });
  until(4);
  expect(told).toEqual(['0 ready 0', '3.5 ready 1', '3.5 ready 2']);
  expect(views).toEqual(['1+0-0', '1+2-0', '1+2-0', '3+0-0']);
});

test('what is not ready goes first, then the youngest', () => {
  const { told, until } = lifecycleOf([3, 4, 1], { coldStart: cold(1500) });
  until(3);
  // Two are asked for at 1 s, one more at 2 s; at 3 s one is still to be had.
  expect(told).toEqual([
    '0 ready 0',
    '2.5 ready 1',
    '2.5 ready 2',
    '3 gone 3 unborn',
    '3 draining 2',
    '3 gone 2',
    '3 draining 1',
    '3 gone 1',
  ]);
});

test('a drain waits for what the replica has, and no longer than it may', () => {
  const { lifecycle, told, busy, until } = lifecycleOf([2, 1], { scaling: { drainMaxMs: 3000 } });
  busy.add(1);
  until(4);
  expect(told).toEqual(['0 ready 0', '1 ready 1', '2 draining 1']);
  lifecycle.settle(lifecycle.members[1]!, 4.2 * SEC);
  expect(told.at(-1)).toBe('2 draining 1');
  until(6);
  expect(told.at(-1)).toBe('5 gone 1');
  busy.clear();
});

test('a drained replica goes with the end of its last call', () => {
  const { lifecycle, told, busy, until } = lifecycleOf([2, 1]);
  busy.add(1);
  until(3);
  busy.delete(1);
  lifecycle.settle(lifecycle.members[1]!, 3.3 * SEC);
  expect(told.at(-1)).toBe('3.3 gone 1');
});

test('wishes are kept within min and max, and rounded', () => {
  const { told, until } = lifecycleOf([99, 0, 2.4], { scaling: { min: 1, max: 3 } });
  until(3);
  expect(told).toEqual([
    '0 ready 0',
    '1 ready 1',
    '1 ready 2',
    '2 draining 2',
    '2 gone 2',
    '2 draining 1',
    '2 gone 1',
    '3 ready 3',
  ]);
});

test('an id is never used again, and names go with ids', () => {
  const { lifecycle, until } = lifecycleOf([3, 0, 2]);
  until(3);
  expect(lifecycle.members.map(({ id, name, state }) => `${id} ${name} ${state}`)).toEqual([
    '0 pool/0 gone',
    '1 pool/1 gone',
    '2 pool/2 gone',
    '3 pool/3 ready',
    '4 pool/4 ready',
  ]);
});

test('a spot replica gets a notice, takes no more, and is replaced; what it still has is lost in the end', () => {
  const { lifecycle, told, busy } = lifecycleOf([], {
    fixed: true,
    coldStart: cold(10_000),
    spot: { perSec: 0.001, noticeMs: 30_000 },
  });
  busy.add(0);
  const noticeNs = lifecycle.nextNs();
  for (let i = 0; i < 3; i++) lifecycle.advanceTo(lifecycle.nextNs());
  const at = (seconds: number) => `${(noticeNs + seconds * SEC) / SEC}`;
  expect(told).toEqual(['0 ready 0', `${at(0)} draining 0`, `${at(10)} ready 1`, `${at(30)} gone 0`]);
});

test('spot replicas are taken so often as they should be', () => {
  let seconds = 0;
  const replicas = 400;
  const { lifecycle } = lifecycleOf([], { replicas, fixed: true, spot: { perSec: 0.1, noticeMs: 0 } });
  for (const { spotNs } of lifecycle.members) seconds += spotNs / SEC;
  // The mean of 400 exponential times of 10 s is within 4 standard errors of 0.5 s.
  expect(Math.abs(seconds / replicas - 10)).toBeLessThan(2);
});
