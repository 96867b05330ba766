// The study of model sizes: capacities and prices are read off its sweeps, and small runs rank models as they must.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/model-size.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });

/** A world where so large a share of calls keeps an SLO. */
const judgedBy = (kept: (layout: string, perSec: number, slo: number) => number) =>
  study.judge(
    CASES.map(({ at }) => ({
      at,
      figures: figuresOf(),
      keptRatios: [0, 1, 2].map(slo => kept(at.layout, at.perSec, slo)),
    })),
  );
/** All of them up to so many workflows a second, and none beyond. */
const judged = (heldTo: (layout: string, slo: number) => number) =>
  judgedBy((layout, perSec, slo) => (perSec <= heldTo(layout, slo) ? 1 : 0));

test('cost is the hour of four H200 over the workflows it carries', () => {
  const { tables } = judged(() => 1);
  // From 1 on, where all calls are good, to 2, where none is, 95 % are reached at 1.05: 1,000 * 4 * 3.39 / 3,600 / 1.05.
  const row = tables[0]!.rows.find(([name]) => name === 'Ministral 3 14B')!;
  expect(row.slice(1, 3)).toEqual(['1.05', '$3.59']);
});

test('a model that misses an SLO at the lowest load never keeps it, and has no price there', () => {
  const { tables, claims } = judged((layout, slo) => (layout.includes('70B') && slo === 2 ? 0 : 1));
  expect(tables[0]!.rows.find(([name]) => name!.includes('1 x 4'))!.slice(5)).toEqual(['never', '']);
  expect(claims[0]!.figure).toContain('not kept at TTFT 500 ms');
  expect(claims[2]!.verdict).toBe('partly');
});

test('parameters decide where the large model carries as much less as it is larger', () => {
  // 95 % on the way from 1 to 0.8 are a quarter of the step from 1 to 2 workflows a second; the large one carries
  // 0.25 + 0.05 * 0.25. So its price is 1.25 / 0.2625 = 4.76 times as high, for 5.08 times the parameters.
  const by = (last: number) => (layout: string, perSec: number) =>
    layout.includes('70B') ? Number(perSec <= 0.25) : perSec <= last ? 1 : perSec <= 2 * last ? 0.8 : 0;
  expect(judgedBy(by(1)).claims[0]).toMatchObject({
    verdict: 'confirmed',
    figure: expect.stringContaining('4.76x'),
  });
  expect(judgedBy(by(4)).claims[0]!.verdict).toBe('contradicted');
});

test('parallelism trades throughput where it wins at a tight SLO and loses at a loose one', () => {
  const wide = (layout: string, slo: number): number =>
    layout.includes('1 x 4') ? 0.5 : layout.includes('4 x 1') ? [1, 0.25, 0.25][slo]! : 0.5;
  expect(judged(wide).claims[3]!.verdict).toBe('confirmed');
  expect(judged(() => 1).claims[3]!.verdict).toBe('contradicted');
});

test('at the same low load a larger dense model is slower, and splitting it over more GPUs makes it faster', async () => {
  const runner = new CaseRunner();
  const took = async (layout: string): Promise<number> => {
    const { of } = CASES.find(({ at }) => at.layout === layout && at.perSec === 0.5 && at.seed === 1)!;
    const outcome = await runner.run(of);
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.figures.makespanMsP50!;
  };
  const [small, medium, alone, split] = [
    await took('Llama 3.1 8B'),
    await took('Ministral 3 14B'),
    await took('Llama 3.1 70B, 4 x 1 GPU'),
    await took('Llama 3.1 70B, 1 x 4 GPUs'),
  ];
  expect(small).toBeLessThan(medium);
  expect(medium).toBeLessThan(split);
  expect(split).toBeLessThan(alone);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/model-size.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study model-size');
  for (const { text } of judged(() => 1).claims) expect(page).toContain(text);
});
