// In which order an engine with room for one takes what waits, by the scheduling of its pool; both engines.
import { expect, test } from 'vitest';
import { textKey } from '../../scenarios/base/key.ts';
import type { CallFacts } from '../../scenarios/workflows/world.ts';
import type { ManagedCluster } from '../../sim/cluster.ts';
import { FastCluster } from '../../sim/fast/cluster.ts';
import { createCluster } from '../../sim/reference/cluster.ts';
import { deployment, limits, pool, submission } from './reference/build.ts';

const facts = (given: Partial<CallFacts>): CallFacts => ({
  key: textKey('call'),
  workflow: 'w',
  tenant: null,
  step: 's',
  sessionStartMs: 0,
  deadlineMs: null,
  parents: [],
  ...given,
});

/** Id 0 keeps the engine busy while the others come. */
const waiting = [
  { id: 0, promptTokens: 8, session: 'busy', priority: 0, call: facts({ sessionStartMs: 9 }) },
  { id: 1, promptTokens: 30, session: 'a', priority: -1, call: facts({ sessionStartMs: 5, deadlineMs: 70 }) },
  { id: 2, promptTokens: 10, session: 'b', priority: 0, call: facts({ sessionStartMs: 7 }) },
  { id: 3, promptTokens: 20, session: 'c', priority: -5, call: facts({ sessionStartMs: 6, deadlineMs: 60 }) },
  // The program of 0, which has had service by then.
  {
    id: 4,
    promptTokens: 12,
    session: 'busy',
    priority: 0,
    call: facts({ sessionStartMs: 9, deadlineMs: 90 }),
  },
];

const order = (make: (spec: ReturnType<typeof deployment>) => ManagedCluster, policy: string): number[] => {
  const spec = pool({
    limits: limits({ maxSequences: 1, schedulingPolicy: policy === 'fcfs' ? 'fcfs' : 'priority' }),
    scheduling: { policy, options: policy === 'plas' ? { quantum: 1e-4 } : {} },
  });
  const cluster = make(deployment([spec]));
  for (const { id, ...given } of waiting)
    cluster.submit(id === 4 ? 1500 : id * 10, submission(id, { ...given, outputTokens: id === 0 ? 10 : 40 }));
  while (cluster.nextNs() < Number.POSITIVE_INFINITY) cluster.advanceTo(cluster.nextNs());
  return cluster.drain().flatMap(event => (event.kind === 'scheduled' ? [event.id] : []));
};

test.each([
  ['fcfs', [0, 1, 2, 3, 4]],
  ['priority', [0, 3, 1, 2, 4]],
  ['edf', [0, 3, 1, 4, 2]],
  ['shortest_prompt', [0, 2, 4, 3, 1]],
  ['program_fcfs', [0, 1, 3, 2, 4]],
])('%s takes %j', (policy, expected) => {
  expect(order(spec => new FastCluster(spec), policy)).toEqual(expected);
  expect(order(createCluster, policy)).toEqual(expected);
});

test('plas puts a program that has had service behind those that have had none', () => {
  expect(order(spec => new FastCluster(spec), 'plas').at(-1)).toBe(4);
});
