// The study of a burst at an API's limit: what its runs must obey whatever the figures, and what follows from them.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/api-burst.ts';
import type { BurstFigures } from '../../../lab/studies/api-burst-measure.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

const runner = new CaseRunner();
async function burst(where: Partial<At>): Promise<BurstFigures> {
  const usual: Partial<At> = { seed: 1, accounting: 'reserve', burst: '60s', maxTokens: 200, ...where };
  const found = CASES.find(({ at }) =>
    Object.entries(usual).every(([key, value]) => at[key as keyof At] === value),
  );
  const outcome = await runner.run(found!.of);
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.measured as BurstFigures;
}
const sum = (counts: readonly number[]): number => counts.reduce((total, each) => total + each, 0);

describe('runs', () => {
  test('a burst that is left alone gets what the bucket holds: 166 calls of 3,000 tokens in 500,000', async () => {
    const alone = await burst({ shape: 'at-once', way: 'alone' });
    expect(alone).toMatchObject({ calls: 345, answers: 166, refused: 179, lastRefusedMs: 0 });
    expect(alone.answersAtFailure).toBe(0);
  });

  test('whoever comes back until it is served is served within a second of the computed 64.2 s', async () => {
    const patient = await burst({ shape: 'at-once', way: 'patient' });
    expect(patient.answers).toBe(345);
    expect(Math.abs(patient.lastRefusedMs! - 64_200)).toBeLessThan(1000);
    expect(sum(patient.refusedPerSec)).toBe(patient.refused);
    expect(patient.answersBySec.at(-1)).toBe(345);
  });

  test('a queue by the same limits is never refused, and costs the same', async () => {
    const [queue, patient] = [
      await burst({ shape: 'staged', way: 'queue' }),
      await burst({ shape: 'staged', way: 'patient' }),
    ];
    expect(queue).toMatchObject({ answers: 345, refused: 0, answersAtFailure: null });
    expect(queue.usd).toBeCloseTo(patient.usd, 6);
  });

  test('charged afterwards nobody is refused; with a bucket of one second almost everybody is', async () => {
    const after = await burst({ shape: 'at-once', way: 'openai', accounting: 'charge_after' });
    const narrow = await burst({ shape: 'at-once', way: 'openai', burst: '1s' });
    expect(after).toMatchObject({ answers: 345, refused: 0 });
    // 8,333 tokens hold two calls; each second another two.
    expect(narrow.answers).toBe(6);
  });

  test('a shared prefix that does not count keeps the scan below the limit', async () => {
    expect(await burst({ shape: 'shared', way: 'alone' })).toMatchObject({ answers: 345, refused: 0 });
  });
});

const NOTHING: BurstFigures = {
  calls: 345,
  refused: 0,
  lastRefusedMs: null,
  refusedPerSec: [0],
  answers: 345,
  lastAnswerMs: 20_000,
  answersBySec: [345],
  answersAtFailure: null,
  usd: 1,
};
const judged = (figures: (at: At) => Partial<BurstFigures>) =>
  study
    .judge(CASES.map(({ at }) => ({ at, figures: figuresOf(), measured: { ...NOTHING, ...figures(at) } })))
    .claims.map(({ verdict }) => verdict);

test('an API without limits contradicts the spell of 429s, and clients see the burst through', () => {
  const [spell, half, , clients, queue, gpu, limit] = judged(() => ({}));
  expect([spell, half, clients, queue, gpu, limit]).toEqual([
    'contradicted',
    'contradicted',
    'confirmed',
    'confirmed',
    'contradicted',
    'confirmed',
  ]);
});

test('64 s in one shape only are partly right; a queue that is refused is none', () => {
  const [spell] = judged(({ shape, way }) =>
    way === 'patient' && shape === 'at-once' ? { refused: 9, lastRefusedMs: 64_000 } : {},
  );
  expect(spell).toBe('partly');
  expect(judged(({ way }) => (way === 'queue' ? { refused: 1 } : {}))[4]).toBe('contradicted');
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/api-burst.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study api-burst');
  const { claims } = study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf() })));
  for (const { text } of claims) expect(page).toContain(text);
});
