// The study from zero in small: what its runs must show whatever the numbers, and its judgement of worlds as claimed.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import fromZero from '../../../lab/studies/from-zero.ts';
import type { RunFigures } from '../../../scenarios/formats/grid.ts';
import { figuresOf } from '../../builders/figures.ts';

type At = ReturnType<typeof fromZero.cases>[number]['at'];
const cases = fromZero.cases({ isQuick: true });

/** One of its cases with sixty workflows. */
async function small(way: At['way'], coldSec: number): Promise<RunFigures> {
  const { of } = cases.find(({ at }) => at.way === way && at.coldSec === coldSec && at.seed === 1)!;
  const set = ['traffic.0.sessions=60', 'traffic.0.arrival.cron.size=60'];
  const outcome = await new CaseRunner().run({
    ...of,
    scenario: { ...of.scenario, options: { ...of.scenario.options, set } },
  });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.figures;
}

test('asleep, nobody is answered before a replica is ready, and the whole hour is paid for', async () => {
  const asleep = await small('keda', 62);
  const awake = await small('awake', 62);
  expect(asleep.completedSessions).toBe(61);
  expect(asleep.firstAnswerMs).toBeGreaterThan(62_000);
  expect(awake.firstAnswerMs).toBeLessThan(1000);
  // Sixteen from the start to the tool that ends the hour.
  expect(awake.gpuHours).toBeCloseTo(16, 2);
  expect(asleep.gpuHours).toBeLessThan(16);
  expect(awake.coldGpuHours).toBe(0);
  expect(asleep.coldGpuHours).toBeGreaterThan(62 / 3600);
  expect(asleep.waitingMost).toBeGreaterThan(awake.waitingMost);
});

test('a floor answers at once, and costs at least its hour', async () => {
  const floor = await small('floor-1', 300);
  expect(floor.firstAnswerMs).toBeLessThan(1000);
  expect(floor.gpuHours).toBeGreaterThan(1);
});

test('worlds as they are told are confirmed, and others are not', () => {
  const verdicts = (figures: (at: At) => Partial<RunFigures>) =>
    fromZero
      .judge(cases.map(({ at }) => ({ at, figures: figuresOf(figures(at)) })))
      .claims.map(claim => claim.verdict);
  expect(
    verdicts(({ way }) => ({
      gpuHours: way === 'keda' ? 1 : 2,
      makespanMsP95: way === 'floor-1-held' || way === 'workflow-aware' ? 900 : 1000,
      replicasMostAtMs: way === 'workflow-aware' ? 10 : 20,
    })),
  ).toEqual(['confirmed', 'confirmed', 'confirmed', 'confirmed']);
  // What saves nothing does not pay; one that asks later does not lead; a floor that is slower hides nothing.
  expect(
    verdicts(({ way }) => ({
      makespanMsP95: way === 'awake' ? 500 : 1000,
      replicasMostAtMs: way === 'workflow-aware' ? 30 : 20,
    })),
  ).toEqual(['contradicted', 'contradicted', 'contradicted', 'contradicted']);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/from-zero.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study from-zero');
  for (const { text } of fromZero.judge(cases.map(({ at }) => ({ at, figures: figuresOf() }))).claims)
    expect(page).toContain(text);
});
