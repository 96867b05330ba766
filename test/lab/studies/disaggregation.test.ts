// The study of disaggregation: verdicts follow from where each layout stops to keep its targets.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/disaggregation.ts';
import { SLOS } from '../../../lab/studies/disaggregation-layouts.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];
const isSplit = ({ layout }: At): boolean => layout.includes('P');

/** A world where a layout keeps every target up to so many sessions a second, and none beyond. */
const judged = (upToPerSec: (at: At, slo: number) => number) =>
  study.judge(
    CASES.map(({ at }) => ({
      at,
      figures: figuresOf(),
      keptRatios: SLOS.map((_, slo) => (at.sessionsPerSec <= upToPerSec(at, slo) ? 1 : 0)),
    })),
  );

/** The lowest load that is tried with this layout and shape. */
const lowest = (at: At): number =>
  Math.min(
    ...CASES.filter(
      ({ at: other }) =>
        other.layout === at.layout &&
        other.promptTokens === at.promptTokens &&
        other.workflow === at.workflow &&
        other.localBelowTokens === at.localBelowTokens,
    ).map(({ at: { sessionsPerSec } }) => sessionsPerSec),
  );

test('a budget that keeps a target nowhere leaves the shape to the split', () => {
  const { claims, tables } = judged((at, slo) => (isSplit(at) ? lowest(at) : slo === 3 ? 0 : lowest(at)));
  expect(claims[0]!.figure).toContain('in 2 of 8 shapes and targets only a split keeps the target');
  expect(tables[0]!.rows[0]!.at(-1)).toMatch(/^[123]P[123]D alone keeps it$/);
});

test('what both keep at every load is no advantage of either', () => {
  const { claims, tables } = judged(() => Number.POSITIVE_INFINITY);
  expect(tables[0]!.rows[0]![1]).toMatch(/^both keep it at every load tried/);
  expect(tables[1]!.rows[0]![2]).toMatch(/^>= /);
  expect(claims[1]!.figure).toContain('TPOT 50 ms: 0 of 2');
});

test('a split that carries its loads where none together carries more than its lowest is found', () => {
  // The split ends between its second and third load.
  const second = (at: At): number => lowest(at) * 2;
  const { claims } = judged(at => (isSplit(at) ? second(at) : lowest(at) / 2));
  expect(claims[0]!.figure).toContain('in 8 of 8 shapes and targets only a split keeps the target');
  expect(claims[3]!.verdict).toBe('contradicted');
});

test('prompts that stay with decode are told as a gain where they are one', () => {
  const { claims } = judged(at =>
    at.workflow === 'turns' && at.localBelowTokens === 0 ? lowest(at) * 0.99 : lowest(at),
  );
  expect(claims.at(-1)!.text).toContain('Short continuations');
  const { claims: gained } = judged(at =>
    at.workflow === 'turns' && at.localBelowTokens > 0 ? lowest(at) * 2 : lowest(at),
  );
  expect(gained.at(-1)!.verdict).toBe('confirmed');
});

test('a split pool keeps gaps short where a default budget cannot: four replicas, prompts of 4k', async () => {
  const run = async (layout: At['layout']) => {
    const { of } = CASES.find(
      ({ at }) => at.layout === layout && at.promptTokens === 4000 && at.seed === 1 && at.workflow === 'ask',
    )!;
    const set = [...(of.scenario.options.set ?? []), 'traffic.0.sessions=60'];
    const outcome = await new CaseRunner().run({
      ...of,
      scenario: { ...of.scenario, options: { ...of.scenario.options, set } },
      loadFactor: 8,
    });
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.keptRatios!;
  };
  const [together, split] = [await run('8192'), await run('2P2D')];
  expect(split[3]!).toBeGreaterThan(0.95);
  expect(together[3]!).toBeLessThan(0.5);
  expect(together[0]!).toBeGreaterThan(0.95);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/disaggregation.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study disaggregation');
  for (const { text } of judged(() => 0).claims) expect(page).toContain(text);
});
