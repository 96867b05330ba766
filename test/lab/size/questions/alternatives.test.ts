// Buying the same traffic, in whole or in part, against a winner on own GPUs.
import { expect, test } from 'vitest';
import { listPrice } from '../../../../engines/catalog.ts';
import { alternatives } from '../../../../lab/size/alternatives.ts';
import { evaluated } from '../../../../lab/size/questions/trial.ts';
import { askingOf } from '../../../builders/asking.ts';

test('an API of the same model costs the tokens at list price; a hybrid keeps fewer replicas and pays a bill', async () => {
  const asking = askingOf({
    deploymentSet: ['pools.main.replicas=4'],
    seeds: 1,
    warmMs: 30_000,
    spanMs: 60_000,
  });
  const { candidate, stretch, seeds } = asking;
  const [winner] = await evaluated(asking, [{ candidate, loadFactor: 8, stretch, seeds }]);
  const [api, hybrid] = await alternatives(asking, winner!);

  const { inputUsdPerMTok, cacheReadUsdPerMTok, outputUsdPerMTok } = listPrice('mistral-small-4')!;
  const { tokens, sessions } = winner!.tally!;
  const usd =
    ((tokens.prompt - tokens.cached) * inputUsdPerMTok +
      tokens.cached * cacheReadUsdPerMTok! +
      tokens.output * outputUsdPerMTok) /
    1e6;
  expect(api).toMatchObject({
    kind: 'api',
    isJudged: false,
    evaluation: null,
    model: 'mistral/mistral-small-2603',
  });
  expect(api!.usdPer1000Workflows).toBeCloseTo((1000 * usd) / sessions.completed, 9);
  expect(api!.why).toContain('not judged');

  expect(hybrid).toMatchObject({ kind: 'hybrid', isJudged: false });
  const { evaluation } = hybrid!;
  expect(evaluation!.trial.candidate.replicas).toBeLessThan(4);
  expect(evaluation!.tally!.apiNanos).toBeGreaterThan(0);
  expect(evaluation!.tally!.calls.error).toBe(0);
  expect(hybrid!.usdPerHour!).toBeGreaterThan(evaluation!.trial.candidate.usdPerHour!);
  expect(hybrid!.why).toContain('assumed');
}, 120_000);

test('there is none for a deployment that buys all of it already', async () => {
  const asking = askingOf({
    deployment: 'api-only',
    set: ['models.local.model=mistral-small-4'],
    seeds: 1,
    warmMs: 0,
    spanMs: 60_000,
  });
  const { candidate, stretch, seeds } = asking;
  const [winner] = await evaluated(asking, [{ candidate, stretch, seeds }]);
  expect(await alternatives(asking, winner!)).toEqual([]);
});
