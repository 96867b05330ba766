// The study of a support agent on three models: prices follow from what a fleet carries, and small runs keep its laws.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/support-agent.ts';
import type { SupportRun } from '../../../lab/studies/support-agent-measure.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

/** USD an hour of H200 and RTX 4090 in the catalogue. */
const CARD_USD = { h200: 3.39, rtx4090: 0.69 } as const;
const SMALL = { one: 0, two: 1, three: 2 } as const;
const hourOf = ({ way, gpus }: Pick<At, 'way' | 'gpus'>): number =>
  gpus * CARD_USD.h200 + SMALL[way] * CARD_USD.rtx4090;

describe('a small run', () => {
  const runner = new CaseRunner();
  const ran = async (way: At['way'], errs: number): Promise<SupportRun> => {
    const { of } = CASES.find(
      ({ at }) => at.way === way && at.gpus === 1 && at.perGpu === 0.2 && at.seed === 1,
    )!;
    const set = [
      ...(of.scenario.options.set ?? []),
      'traffic.0.sessions=12',
      `workflows.conversation.steps.0.steps.3.cases.0.weight=${100 - 100 * errs}%`,
      `workflows.conversation.steps.0.steps.3.cases.1.weight=${100 * errs}%`,
    ];
    const outcome = await runner.run({
      ...of,
      scenario: { ...of.scenario, options: { ...of.scenario.options, set } },
    });
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.measured as SupportRun;
  };

  test('has four turns a conversation and costs its cards by the hour, whoever does what', async () => {
    for (const way of ['one', 'two', 'three'] as const) {
      const run = await ran(way, 0);
      expect(run.turns).toBe(48);
      expect(run.usdPerHour).toBeCloseTo(hourOf({ way, gpus: 1 }), 6);
      const { intent, answer, safety } = run.workRatio;
      expect(intent + answer + safety).toBeCloseTo(1, 9);
    }
  });

  test('judges and checks sooner on small models, and the answer itself takes as long', async () => {
    const [one, three] = [await ran('one', 0), await ran('three', 0)];
    expect(three.stageMsP95.intent).toBeLessThan(one.stageMsP95.intent);
    expect(three.stageMsP95.safety).toBeLessThan(one.stageMsP95.safety);
    expect(three.firstTokenMsP95).toBeLessThan(one.firstTokenMsP95);
    expect(three.wholeMsP95 / one.wholeMsP95).toBeGreaterThan(0.7);
  });

  test('answers again as often as intents are misjudged', async () => {
    const [never, always] = [await ran('three', 0), await ran('three', 1)];
    expect(always.turns).toBe(never.turns);
    // All intents again, by the large model, count as intent: no longer next to nothing.
    expect(always.workRatio.intent).toBeGreaterThan(2 * never.workRatio.intent);
  });
});

describe('a world by hand', () => {
  /** Turns keep the SLO up to so many conversations a second and H200. */
  const judged = (carries: (at: At) => number) =>
    study.judge(
      CASES.map(({ at }) => {
        const slow = at.perGpu / 0.2;
        const measured: SupportRun = {
          turns: 100,
          keptRatio: at.perGpu <= carries(at) ? 1 : 0.9,
          firstTokenMsP95: (at.way === 'one' ? 800 : 500) * slow,
          wholeMsP95: 12_000,
          stageMsP95: { intent: 100, answer: 400 * slow, safety: 20 },
          usdPerHour: hourOf(at),
          workRatio: { intent: 0.05, answer: 0.85, safety: 0.1 },
        };
        return { at, figures: figuresOf(), measured };
      }),
    );

  test('a conversation costs the hour of its cards over what they carry', () => {
    // 95 % lie half way from 0.35, where all is kept, to 0.45, where 90 % are: 0.4 a second, 1,440 an hour for $3.39.
    const { rows } = judged(() => 0.35).tables[0]!;
    expect(rows[0]).toEqual(['70B for everything', '1', '0', '$3.39', '0.4', '$2.35']);
    expect(rows.at(-1)!.slice(1)).toEqual(['8', '2', '$28.5', '3.2', '$2.47']);
  });

  test('where small models free nothing they are dearer by their cards', () => {
    const { claims } = judged(() => 0.35);
    // 4.77 of 3.39, and 28.5 of 27.12.
    expect(claims[0]).toMatchObject({
      verdict: 'contradicted',
      figure: expect.stringMatching(/1\.41x.* with 1 H200.* 1\.05x.* with 8 H200/),
    });
    expect(claims[3]!.verdict).toBe('confirmed');
    expect(claims[4]!.verdict).toBe('contradicted');
  });

  test('where they free half of the large model they pay, however often they err', () => {
    const { claims } = judged(({ way }) => (way === 'one' ? 0.2 : 0.45));
    expect(claims[0]!.verdict).toBe('confirmed');
    expect(claims[4]!.verdict).toBe('confirmed');
  });
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/support-agent.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study support-agent');
  const { claims } = study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf() })));
  for (const { text } of claims) expect(page).toContain(text);
});
