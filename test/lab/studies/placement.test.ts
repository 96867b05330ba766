// The study of placement: the arithmetic of round trips holds in simulations, and verdicts follow from times.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/placement.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

const judged = (tookMs: (at: At) => number) =>
  study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf({ makespanMsP50: tookMs(at) }) })));

const ROUND_TRIP_MS: Record<At['site'], number> = {
  'edge L40S': 10,
  'edge RTX PRO 6000': 10,
  'edge H200': 10,
  region: 60,
  central: 160,
  'central, loop there': 0,
};
/** A world of round trips, and of cards that take so long for a token. */
const world =
  (tokenMs: Partial<Record<At['site'], number>>) =>
  ({ site, workflow, turns, words }: At): number =>
    workflow === 'once'
      ? ROUND_TRIP_MS[site] + 300 * (tokenMs[site] ?? 2)
      : turns * (ROUND_TRIP_MS[site] + words * (tokenMs[site] ?? 2));

test('where all cards are alike the edge wins all, and the way costs what arithmetic says', () => {
  const { claims } = judged(world({}));
  expect(claims[0]).toMatchObject({
    verdict: 'confirmed',
    figure: expect.stringContaining('7.5 s by arithmetic'),
  });
  expect(claims[1]!.verdict).toBe('confirmed');
  expect(claims[2]!.verdict).toBe('contradicted');
});

test('the break-even answer is the saved way over the lost time of a token', () => {
  // 150 ms of way saved a call, 8 ms a token more: 150 / 8 = 18.75 tokens.
  const { claims } = judged(world({ 'edge L40S': 10, 'edge RTX PRO 6000': 10 }));
  expect(claims[1]!.figure).toContain('an L40S wins up to 18.8 tokens an answer');
  expect(claims[2]!.figure).toMatch(/^3\.01 s \(edge, one L40S\)/);
});

test('a pool that does not slow down within the loads is told as a bound', () => {
  const slows = (at: At): number =>
    1000 * (at.site === 'edge L40S' && at.perUsd > 300 ? 3 : at.site === 'central, loop there' ? 0.5 : 1);
  const { claims } = judged(slows);
  expect(claims[3]!.verdict).toBe('confirmed');
  expect(claims[4]).toMatchObject({ verdict: 'confirmed', figure: expect.stringContaining('at least') });
});

test('on one card an agent far away takes exactly its round trips longer', async () => {
  const runner = new CaseRunner();
  const took = async (site: At['site']): Promise<number> => {
    const { of } = CASES.find(({ at }) => at.site === site && at.turns === 10 && at.seed === 1)!;
    const outcome = await runner.run(of);
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.figures.makespanMsP50!;
  };
  expect((await took('central')) - (await took('edge H200'))).toBeCloseTo(1500, 0);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/placement.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study placement');
  for (const { text } of judged(world({})).claims) expect(page).toContain(text);
});
