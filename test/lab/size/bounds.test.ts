// Bounds are sound: what arithmetic leaves out, runs break; and it leaves out something.
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { candidateOf } from '../../../lab/size/space.ts';
import { type Sized, sizingOf } from '../../builders/sizing.ts';
import { emptyFolder } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const scenarioOf = (steps: string, rate: string, model = 'ministral-3-14b'): string => `
windtunnel: 1
seed: 5
models: { m: { model: ${model} } }
prefixes: { system: { tokens: 1500, scope: global } }
workflows: { main: { prefix: [system], steps: ${steps} } }
traffic: [ { workflow: main, arrival: { poisson: { rate: ${rate} } }, sessions: 8 } ]
assert: [ 'p95(ttft) < 2s', 'p95(tpot) < 100ms' ]
`;
const CHAT =
  '[ { llm: reply, adds: { median: 400, p90: 1200, max: 4000 }, out: { median: 120, p90: 300, max: 800 } } ]';
const READER = '[ { llm: read, adds: { median: 6k, p90: 12k, max: 16k }, out: 30 } ]';
const LOOP =
  '[ { repeat: pass, times: 4, steps: [ { llm: act, adds: 300, out: { median: 60, p90: 140 } } ] } ]';

/** So long that a queue which grows at all is far beyond a promise. */
const LONG = { warmMs: 60_000, spanMs: 60_000 };

describe('bounds', () => {
  test.each<[string, string, string, Sized]>([
    ['answers', CHAT, '40/s', {}],
    ['prompts', READER, '18/s', {}],
    ['loops with a cache', LOOP, '12/s', {}],
    ['prefill and decode apart', CHAT, '40/s', { split: true, tp: '1' }],
  ])(
    'of %s: one replica fewer breaks a promise in a long run',
    async (_, steps, rate, options) => {
      const { setup, bounds, path } = sizingOf(scenarioOf(steps, rate), folder, {
        ...options,
        replicas: '1..64',
      });
      const tested = bounds.filter(
        ({ impossible, replicasMin, group }) =>
          impossible === null && replicasMin > (group.shape === 'split' ? 2 : 1),
      );
      expect(tested.length).toBeGreaterThanOrEqual(2);
      const evaluations = await setup.evaluator.evaluate(
        tested.map(bound => ({
          candidate: candidateOf(bound.group, bound.replicasMin - 1, bound, path),
          stretch: LONG,
          seeds: 1,
        })),
      );
      expect(evaluations.map(each => `${each!.trial.candidate.name}: ${each!.verdict}`)).toEqual(
        tested.map(({ group, replicasMin }) =>
          group.shape === 'split'
            ? expect.stringMatching(/: broken$/)
            : `${replicasMin - 1} x ${group.name}: broken`,
        ),
      );
    },
    240_000,
  );

  test('grow with the traffic and with nothing else', () => {
    const minima = [1, 2, 4].map(load =>
      sizingOf(scenarioOf(CHAT, '40/s'), folder, { load, replicas: '1..64' }).bounds.map(
        ({ replicasMin }) => replicasMin,
      ),
    );
    for (const [i, least] of minima[0]!.entries()) {
      expect(minima[1]![i]!).toBeGreaterThanOrEqual(2 * least - 2);
      expect(minima[1]![i]!).toBeLessThanOrEqual(2 * least);
      expect(minima[2]![i]!).toBeLessThanOrEqual(4 * least);
      expect(minima[2]![i]!).toBeGreaterThan(minima[1]![i]!);
    }
  });

  test('do not depend on how many sessions the file ends after', () => {
    const [few, many] = ['sessions: 8', 'sessions: 800'].map(sessions =>
      sizingOf(scenarioOf(CHAT, '40/s').replace('sessions: 8', sessions), folder).bounds.map(
        ({ why }) => why,
      ),
    );
    expect(few).toEqual(many);
  });

  test('say of weights that do not fit, prompts beyond the window and GPUs without a price that it cannot be', () => {
    const large = sizingOf(scenarioOf(CHAT, '1/s', 'llama-3.1-70b'), folder, { gpu: 'l40s', tp: '1,4' });
    expect(large.bounds[0]!.impossible).toMatch(/weights|memory|GiB/i);
    expect(large.bounds[1]!.impossible).toBeNull();
    const unsold = sizingOf(scenarioOf(CHAT, '1/s'), folder, { gpu: 'h100-80gb-pcie', tp: '1' });
    expect(unsold.bounds[0]!.impossible).toMatch(/price of h100-80gb-pcie.*--price/);
  });
});
