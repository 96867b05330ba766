// The study of the mixed fleet: what it says follows from its runs, and a small fleet shows who slows whom.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/mixed-fleet.ts';
import type { RunFigures } from '../../../scenarios/formats/grid.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

/** Verdicts by the beginnings of claims, in a world where workflows take so many ms; seeds differ a little. */
function judged(
  tookMs: (at: At, workflow: string) => number,
  rest: (at: At) => Partial<RunFigures> = () => ({}),
) {
  const runs = CASES.map(({ at }) => {
    const took = (workflow: string) => figuresOf({ makespanMsMean: tookMs(at, workflow) + at.seed });
    return {
      at,
      figures: { ...took('all'), ...rest(at) },
      cohorts: Object.fromEntries(at.workflows.split('+').map(name => [name, took(name)])),
    };
  });
  return Object.fromEntries(
    study.judge(runs).claims.map(({ text, verdict, figure }) => [text.slice(0, 16), { verdict, figure }]),
  );
}

test('a world where nothing depends on anything contradicts what says that something does', () => {
  const claims = judged(() => 1000);
  expect(Object.values(claims).map(({ verdict }) => verdict)).not.toContain('confirmed');
});

test('fan-outs are named where they slow chats most, and not where loops do', () => {
  const slowed = (by: string) => (at: At, workflow: string) =>
    workflow === 'chat' && at.workflows.includes(by)
      ? 2000
      : workflow === 'chat' && at.workflows !== 'chat'
        ? 1200
        : 1000;
  expect(judged(slowed('scan'))['Fan-outs hurt ch']).toMatchObject({
    verdict: 'confirmed',
    figure: expect.stringContaining('which hurt them most'),
  });
  expect(judged(slowed('refine'))['Fan-outs hurt ch']).toMatchObject({
    verdict: 'partly',
    figure: expect.stringContaining('beside the loops'),
  });
});

test('the load at equal latency is read where the lines cross the latency', () => {
  // Ten ms for each unit of load; an idle fleet takes 100 ms, so that 250 ms are reached at 25, under PLAS at 35.7.
  const took = (at: At): number =>
    at.batch === 'usual' ? 100 : at.load * (at.scheduler === 'plas' ? 7 : 10);
  const { figure, verdict } = judged(took)['Program-aware sc']!;
  expect(verdict).toBe('partly');
  expect(figure).toMatch(/^plas carries 1\.4[0-9]x/);
});

test('Kairos is confirmed where all of the interval is as good as it reports, and in part where it is less', () => {
  const with_ = (ratio: number) => (at: At) => (at.scheduler === 'kairos' ? ratio : 1) * 10_000;
  expect(judged(with_(0.75))['Ordering calls b']!.verdict).toBe('confirmed');
  expect(judged(with_(0.9))['Ordering calls b']!.verdict).toBe('partly');
  expect(judged(with_(1.1))['Ordering calls b']!.verdict).toBe('contradicted');
});

test('a gate is judged by the workflows all of whose calls were good', () => {
  const claims = judged(
    () => 1000,
    ({ gate, seed }) => ({ goodSessions: (gate === 'sessions shed' ? 50 : 20) + seed }),
  );
  expect(claims['Beyond the knee ']!.verdict).toBe('confirmed');
});

test('beside a fan-out a chat takes longer than alone', async () => {
  const runner = new CaseRunner();
  const took = async (workflows: string): Promise<number> => {
    const found = CASES.find(({ at }) => at.workflows === workflows && at.load > 20 && at.seed === 1)!;
    const outcome = await runner.run(found.of);
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.cohorts!.chat!.makespanMsMean!;
  };
  expect(await took('scan+chat')).toBeGreaterThan(1.1 * (await took('chat')));
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/mixed-fleet.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study mixed-fleet');
  for (const { text } of study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf() }))).claims)
    expect(page).toContain(text);
});
