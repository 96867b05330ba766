// The simulator as a queue whose theory is known: one sequence at a time and one-token outputs make a replica a single
// server, so that with Poisson arrivals the mean wait must follow Pollaczek and Khinchine, and each single wait Lindley's recursion.
import { expect, test } from 'vitest';
import { extend, seedKey, uniform } from '../../../scenarios/base/key.ts';
import { affineStep } from '../../builders/steps.ts';
import { oneReplica, runToEnd, submission } from './build.ts';

const REQUESTS = 100_000;
const PER_TOKEN_NS = 100_000;

/** Mean of (first scheduled - arrival) in ns. */
function meanWaitNs(meanGapNs: number, promptTokens: (ordinal: number) => number): number {
  const cluster = oneReplica(
    { maxSequences: 1, prefixCaching: false, maxBatchedTokens: 1000 },
    affineStep({ perTokenNs: PER_TOKEN_NS }),
  );
  const seed = seedKey('queueing');
  const arrivals: number[] = [];
  const lindleyNs: number[] = [];
  let atNs = 0;
  let freeNs = 0;
  for (let id = 0; id < REQUESTS; id++) {
    atNs += Math.round(-Math.log(uniform(extend(seed, id))) * meanGapNs);
    arrivals.push(atNs);
    lindleyNs.push(Math.max(0, freeNs - atNs));
    freeNs = Math.max(freeNs, atNs) + promptTokens(id) * PER_TOKEN_NS;
    cluster.advanceTo(atNs);
    cluster.submit(atNs, submission(id, { promptTokens: promptTokens(id) }));
  }
  const waitsNs: number[] = [];
  for (const event of runToEnd(cluster))
    if (event.kind === 'scheduled') waitsNs.push(event.atNs - arrivals[event.id]!);
  expect(waitsNs).toEqual(lindleyNs); // to the nanosecond, whatever the sample
  return waitsNs.reduce((sum, wait) => sum + wait, 0) / REQUESTS;
}

test('M/D/1: with equal prompts the mean wait is rho * D / (2 * (1 - rho))', () => {
  const serviceNs = 1_000_000;
  for (const rho of [0.3, 0.6]) {
    const expected = (rho * serviceNs) / (2 * (1 - rho));
    const error = meanWaitNs(serviceNs / rho, () => 10) / expected - 1;
    expect(Math.abs(error), `rho ${rho}: off by ${error}`).toBeLessThan(0.03);
  }
});

test('M/G/1: with prompts of two lengths the mean wait is lambda * E[S^2] / (2 * (1 - rho))', () => {
  const gapNs = 2_000_000;
  const expected = (0.5 * (500_000 ** 2 + 1_500_000 ** 2)) / gapNs / (2 * (1 - 0.5));
  const lengths = seedKey('lengths');
  const wait = meanWaitNs(gapNs, ordinal => (uniform(extend(lengths, ordinal)) < 0.5 ? 5 : 15));
  expect(Math.abs(wait / expected - 1), `off by ${wait / expected - 1}`).toBeLessThan(0.03);
});
