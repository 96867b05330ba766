// The study of fan-outs: who is protected by what follows from TTFT, SLOs and workflows of both tenants, width by width.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/fan-out.ts';
import type { RunFigures } from '../../../scenarios/formats/grid.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

function judged(
  bystanders: (at: At) => Partial<RunFigures>,
  fanning: (at: At) => Partial<RunFigures> = () => ({}),
) {
  const { claims } = study.judge(
    CASES.map(({ at }) => ({
      at,
      figures: figuresOf(),
      cohorts: { bystanders: figuresOf(bystanders(at)), fanning: figuresOf(fanning(at)) },
    })),
  );
  return claims.map(({ verdict }) => verdict);
}

test('where nothing depends on width or way, nothing hurts and nothing helps', () => {
  const [hurts, orders, price, tail, gate, cap] = judged(() => ({}));
  expect([hurts, orders, gate, cap]).toEqual(Array(4).fill('contradicted'));
  expect(price).toBe('confirmed');
  expect(tail).toBe('partly');
});

test('an order that shortens TTFT but not the batch protects in part, one that does both in full', () => {
  const ttft = ({ way, width }: At): number =>
    width === 1 ? 100 : ['priority', 'shortest', 'plas'].includes(way) ? 200 : 2000;
  const slow = (at: At) => ({ ttftMsP95: ttft(at) + at.seed, sloRatio: 0.5 });
  expect(judged(slow).slice(0, 2)).toEqual(['confirmed', 'partly']);
  expect(judged(at => ({ ...slow(at), sloRatio: 0.99 })).slice(0, 2)).toEqual(['confirmed', 'confirmed']);
});

test('a cap is told apart from a gate, and its price is in the figure', () => {
  const { claims } = study.judge(
    CASES.map(({ at }) => ({
      at,
      figures: figuresOf(),
      cohorts: {
        bystanders: figuresOf({ ttftMsP95: at.way === 'cap' ? 100 : 1000 }),
        fanning: figuresOf({ makespanMsP95: at.way === 'cap' ? 9000 : 6000 }),
      },
    })),
  );
  expect(claims[4]!.verdict).toBe('contradicted');
  expect(claims[5]).toMatchObject({
    verdict: 'confirmed',
    figure: expect.stringContaining('workflow p95 +50 %'),
  });
});

test('a cap holds back the calls of an action, and both tenants are told apart', async () => {
  const widest = CASES.filter(({ at }) => at.width === 256 && at.load === 'spare' && at.seed === 1);
  const run = async (way: At['way']) => {
    const outcome = await new CaseRunner().run(widest.find(({ at }) => at.way === way)!.of);
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.cohorts!;
  };
  const [open, capped] = [await run('fcfs'), await run('cap')];
  expect(open.fanning!.sessionWidthP95).toBe(256);
  expect(capped.fanning!.sessionWidthP95).toBe(16);
  expect(open.bystanders!.sessionWidthP95).toBe(1);
  expect(open.bystanders!.calls).toBe(capped.bystanders!.calls);
  expect(capped.bystanders!.ttftMsP95!).toBeLessThan(open.bystanders!.ttftMsP95!);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/fan-out.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study fan-out');
  const { claims } = study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf() })));
  for (const { text } of claims) expect(page).toContain(text);
});
