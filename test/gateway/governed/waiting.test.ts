// Calls that wait for a target to come back go on when it does.
import { expect, test } from 'vitest';
import { planOf } from '../../builders/scenarios.ts';
import { DEPLOYMENT, deploymentOf, simulated } from '../../builders/worlds.ts';

test('calls that a breaker holds wait for its trial, not for the whole time that they may', () => {
  const plan = planOf(`
windtunnel: 1
seed: 5
models: { m: { model: ministral-3-14b } }
workflows: { one: { steps: [{ llm: ask, adds: 400, out: 100 }] } }
traffic: [{ workflow: one, arrival: { poisson: { rate: 2/s } }, sessions: 200 }]
faults: [{ fault: replica_crash, target: main, at: 10s }]
`);
  const text = DEPLOYMENT().replace(
    'routing:',
    `    autoscaler: { policy: fixed, min: 1, max: 1 }
    cold_start: 40s
gateway:
  timeout: { ttft: 5s }
  retry: { max: 0, blind: true }
  breaker: { failures: 3, open: 4s, errors: [timeout, 5xx] }
  degraded: { mode: queue, max_wait: 10m }
routing:`,
  );
  const { calls, governed } = simulated(plan, deploymentOf(text));
  expect(calls.every(({ outcome }) => outcome === 'ok')).toBe(true);
  const held = governed!.decisions.filter(({ policy }) => policy === 'degraded');
  expect(held.length).toBeGreaterThan(20);
  // The replica is back at 50 s; a trial may begin 4 s after that and takes a while itself; then all look within a second.
  const lastMs = Math.max(...calls.filter(({ plannedMs }) => plannedMs < 50_000).map(({ endMs }) => endMs!));
  expect(lastMs).toBeGreaterThan(50_000);
  expect(lastMs).toBeLessThan(70_000);
});
