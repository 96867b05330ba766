// The study of outages in small: laws of its runs, and its judgement of worlds as they are claimed.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/outage.ts';
import { type OutageMeasured, SLO_MS, TROUBLE_MS } from '../../../lab/studies/outage-measure.ts';
import { loadScenario } from '../../../scenarios/cli/load.ts';
import { figuresOf } from '../../builders/figures.ts';

type At = ReturnType<typeof study.cases>[number]['at'];
const cases = study.cases({ isQuick: true });
const runner = new CaseRunner();

/** The first minutes of a case. */
async function ran(trouble: At['trouble'], way: At['way'], minutes = 3): Promise<OutageMeasured> {
  const { of } = cases.find(({ at }) => at.trouble === trouble && at.way === way)!;
  const set = [...(of.scenario.options.set ?? []), `traffic.0.for=${minutes}m`];
  const outcome = await runner.run({
    ...of,
    scenario: { ...of.scenario, options: { ...of.scenario.options, set } },
  });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.measured as OutageMeasured;
}

test('the measure and the scenario speak of the same trouble and the same SLO', async () => {
  const { assertions } = loadScenario('studies/outage', {}).compiled!.plan!;
  const slo = assertions.find(({ subject }) => subject.kind === 'attainment' && subject.of === 'sessions')!;
  expect(JSON.stringify(slo.subject)).toContain(String(SLO_MS));
  const { goodRatios } = await ran('down', 'closed');
  const from = TROUBLE_MS.from / 30_000;
  // Who starts a minute before the trouble is done; who starts in it is not.
  expect(goodRatios.slice(0, from - 1)).toEqual([1, 1, 1]);
  expect(goodRatios.slice(from, from + 2).every(ratio => ratio! < 0.2)).toBe(true);
});

describe('runs', () => {
  test('a fallback that takes all lets every agent complete, and nothing is paid for in vain', async () => {
    const backup = await ran('down', 'backup');
    expect(backup).toMatchObject({ completedRatio: 1, wastedTokens: 0, homeMost: 0, homeTtftMsP95: null });
    // Two retries and the fallback, in the minute of three with trouble.
    expect(backup.attemptsPerCall).toBeGreaterThan(1.5);
    const broken = await ran('down', 'backup-resilience4j');
    expect(broken.completedRatio).toBe(1);
    expect(broken.breakerOpens).toBeGreaterThan(0);
    expect(broken.attemptsPerCall).toBeLessThan(backup.attemptsPerCall);
  });

  test('the gate at home keeps its word', async () => {
    const gated = await ran('silent', 'home-gated');
    expect(gated.homeMost).toBeGreaterThan(0);
    expect(gated.homeMost).toBeLessThanOrEqual(24);
    expect(gated.completedRatio).toBeLessThan(1);
  });

  test('copies are sent, and cost tokens', async () => {
    const [hedged, closed] = [await ran('brownout', 'hedged'), await ran('brownout', 'closed')];
    expect(hedged.attemptsPerCall).toBeGreaterThan(closed.attemptsPerCall);
    expect(hedged.wastedTokens).toBeGreaterThan(closed.wastedTokens);
  });
});

const measured = (fields: Partial<OutageMeasured>): OutageMeasured => ({
  goodRatios: [1],
  goodRatio: 1,
  completedRatio: 1,
  makespanMsP95: 30_000,
  recoverMs: 0,
  wasteRatio: 0,
  wastedTokens: 0,
  usd: 10,
  homeMost: 0,
  homeTtftMsP95: null,
  attemptsPerCall: 1,
  breakerOpens: 0,
  ...fields,
});
const judged = (fields: (at: At) => Partial<OutageMeasured>) =>
  study.judge(
    study
      .cases({ isQuick: false })
      .map(({ at }) => ({ at, figures: figuresOf(), measured: measured(fields(at)) })),
  ).claims;
const verdicts = (fields: (at: At) => Partial<OutageMeasured>): string[] =>
  judged(fields).map(({ verdict }) => verdict);

describe('the judgement', () => {
  test('a world as it is claimed is confirmed', () => {
    expect(verdicts(({ way }) => ({ goodRatio: way === 'closed' ? 0.5 : 1 }))).toEqual(
      Array.from({ length: 6 }, () => 'confirmed'),
    );
  });

  test('fallbacks that help nobody, breakers that harm, a GPU that drowns and copies in vain contradict it', () => {
    const goodRatio = ({ way, trouble }: At): number => {
      if (way.startsWith('backup')) return way === 'backup' ? 0.5 : 0.4;
      if (way === 'home') return trouble === 'storm' ? 0.5 : 0.2;
      if (way === 'home-breaker') return trouble === 'storm' ? 0.4 : 0.1;
      return 0.6;
    };
    expect(
      verdicts(at => ({
        goodRatio: goodRatio(at),
        ...(at.way.startsWith('queue') && { completedRatio: 0.5 }),
      })),
    ).toEqual(Array.from({ length: 6 }, () => 'contradicted'));
  });

  test('who queues is back at once, or it cost more than time', () => {
    const queueing = (recoverMs: number | null): string =>
      judged(({ way }) => (way.startsWith('queue') ? { recoverMs } : {})).find(({ text }) =>
        text.includes('Queueing'),
      )!.verdict;
    expect([0, 60_000, 90_000, null].map(queueing)).toEqual(['confirmed', 'confirmed', 'partly', 'partly']);
  });
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/outage.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study outage');
  for (const { text } of judged(() => ({}))) expect(page).toContain(text);
});
