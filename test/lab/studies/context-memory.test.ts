// The study of contexts that outgrow memory: verdicts follow from times and tokens, and a small world shows the ways apart.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/context-memory.ts';
import type { RunFigures } from '../../../scenarios/formats/grid.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];
const LONG = Math.max(...CASES.map(({ at }) => at.turns));

const judged = (figures: (at: At) => Partial<RunFigures>) =>
  study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf(figures(at)) }))).claims;
const verdicts = (figures: (at: At) => Partial<RunFigures>) => judged(figures).map(({ verdict }) => verdict);

test('where all ways are alike, memory does nothing and flash is as good as memory', () => {
  expect(verdicts(() => ({}))).toEqual([
    'contradicted',
    'contradicted',
    'contradicted',
    'confirmed',
    'contradicted',
    'partly',
  ]);
});

test('a collapse at long sessions alone is what outgrowing memory means', () => {
  const lost = ({ way, turns }: At) => (way === 'recompute' && turns === LONG ? 5 : 1);
  const claims = judged(at => ({ makespanMsP50: 1000 * lost(at), ttftMsP95: 100 * lost(at) }));
  expect(claims.slice(0, 3).map(({ verdict }) => verdict)).toEqual(['confirmed', 'confirmed', 'confirmed']);
  expect(claims[0]!.figure).toContain(`+400 % at ${LONG} turns`);
  // Where it is slow at any length, it is not the length.
  expect(verdicts(({ way }) => ({ makespanMsP50: way === 'recompute' ? 5000 : 1000 }))[0]).toBe('partly');
});

test('compaction that takes less time but more tokens is cheaper in part', () => {
  const figures = ({ way }: At): Partial<RunFigures> =>
    way === 'compact'
      ? { makespanMsP50: 900, computedTokens: 2e6 }
      : { makespanMsP50: 1000, computedTokens: 1e6 };
  expect(verdicts(figures)[4]).toBe('partly');
});

test('a small world: cut prompts are short, kept ones the same tokens with a tier as without', async () => {
  const run = async (way: At['way']) => {
    const { of } = CASES.find(({ at }) => at.way === way && at.turns !== LONG && at.seed === 1)!;
    const set = [...(of.scenario.options.set ?? []), 'traffic.0.sessions=6'];
    const outcome = await new CaseRunner().run({
      ...of,
      scenario: { ...of.scenario, options: { ...of.scenario.options, set } },
    });
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.figures;
  };
  const [kept, cpu, cut, compacted] = [
    await run('recompute'),
    await run('cpu'),
    await run('truncate'),
    await run('compact'),
  ];
  expect(cpu.promptTokens).toBe(kept.promptTokens);
  expect(cpu.outputTokens).toBe(kept.outputTokens);
  expect(cut.calls).toBe(kept.calls);
  expect(cut.outputTokens).toBe(kept.outputTokens);
  expect(cut.promptTokens).toBeLessThan(0.75 * kept.promptTokens);
  expect(compacted.calls).toBeGreaterThan(kept.calls);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/context-memory.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study context-memory');
  for (const { text } of judged(() => ({}))) expect(page).toContain(text);
});
