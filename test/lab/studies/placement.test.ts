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
/** From there to the user and to the centre. */
const APART_MS = { user: [0, 160], edge: [10, 150], region: [60, 200], centre: [160, 0] } as const;

/** Of one turn: to the model, to the tool, and to the store twice. */
function wayMs({ site, workflow, data, way }: At): number {
  const isThere = site === 'central, loop there';
  const toData = data === null ? 0 : APART_MS[data][isThere ? 1 : 0];
  const trips = way === 'a new connection each call' ? 3 : 1;
  return trips * ROUND_TRIP_MS[site] + toData * (workflow === 'stateful' ? 3 : 1);
}
/** A world of round trips, and of cards that take so long for a token. */
const world =
  (tokenMs: Partial<Record<At['site'], number>>) =>
  (at: At): number =>
    at.workflow === 'once'
      ? wayMs(at) + 300 * (tokenMs[at.site] ?? 2)
      : at.turns * (wayMs(at) + at.words * (tokenMs[at.site] ?? 2));

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

test('a loop between its model and its data gains nothing; state that is left behind costs the way again', () => {
  const [, , , , , connections, data, state] = judged(world({})).claims;
  expect(connections).toMatchObject({
    verdict: 'contradicted',
    figure: expect.stringContaining('3 round trips; 16 s by arithmetic'),
  });
  expect(data!.verdict).toBe('partly');
  // 50 turns of 40 ms; with loop and state apart 3 x 160 ms each turn more, with loop and model apart 160 ms.
  expect(state).toMatchObject({
    verdict: 'contradicted',
    figure: expect.stringContaining('10 s with loop and state at the user, 26 s with the loop in the centre'),
  });
});

test('what costs no way may stand anywhere', () => {
  const { claims } = judged(() => 1000);
  expect(claims.slice(5).map(({ verdict }) => verdict)).toEqual(['confirmed', 'contradicted', 'confirmed']);
});

const runner = new CaseRunner();
async function tookMs({ of }: (typeof CASES)[number]): Promise<number> {
  const outcome = await runner.run(of);
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.figures.makespanMsP50!;
}
const caseAt = (wanted: Partial<At>): (typeof CASES)[number] =>
  CASES.find(({ at }) =>
    Object.entries({ seed: 1, ...wanted }).every(([key, value]) => at[key as keyof At] === value),
  )!;

test('on one card an agent far away takes exactly its round trips longer', async () => {
  const took = (site: At['site']): Promise<number> => tookMs(caseAt({ site, turns: 10 }));
  expect((await took('central')) - (await took('edge H200'))).toBeCloseTo(1500, 0);
});

test('an open connection over links is the same as a latency of the pool', async () => {
  const given = caseAt({ site: 'central', turns: 10 });
  const { input, set = [] } = given.of.deployment;
  const inOnePlace = set.map(line => line.replace(/(place=).*/, '$1centre'));
  const deployment = { input, set: [...inOnePlace, 'pools.main.api_latency=162ms'] };
  const inPool = { ...given.of, deployment };
  expect(await tookMs({ at: given.at, of: inPool })).toBeCloseTo(await tookMs(given), 0);
});

test('without open connections each call takes three round trips, but for what a near gateway keeps', async () => {
  const [open, fresh, spared] = await Promise.all(
    (['open', 'a new connection each call', 'the same, gateway at the edge'] as const).map(way =>
      tookMs(
        caseAt({ site: 'central', workflow: 'chatty', turns: 50, words: 20, way, data: null, perUsd: 10 }),
      ),
    ),
  );
  expect(fresh! - open!).toBeCloseTo(50 * 2 * 160, -2);
  expect(spared! - open!).toBeCloseTo(50 * 2 * 10, -2);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/placement.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study placement');
  for (const { text } of judged(world({})).claims) expect(page).toContain(text);
});
