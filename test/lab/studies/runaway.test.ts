// The study of runaways: what is saved is counted on runaways alone, what is lost on sound sessions alone, beside the same
// sessions without a defence.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import type { GroupFigures } from '../../../lab/studies/groups.ts';
import study from '../../../lab/studies/runaway.ts';
import type { RunawayFigures } from '../../../lab/studies/runaway-measure.ts';
import type { AnomalyScore } from '../../../scenarios/formats/anomaly-score.ts';
import { figuresOf } from '../../builders/figures.ts';
import { groupOf } from '../../builders/groups.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

const SCORE: AnomalyScore = {
  precision: 1,
  recall: 1,
  f1: 1,
  tokensSaved: 0,
  tokensLost: 0,
  byLabel: ['loop', 'tool_cascade', 'context_blowup', 'prompt_attack'].map(label => ({
    label,
    sessions: 2,
    found: 2,
    recall: 1,
    tokensSaved: 0,
  })),
};

const judged = (of: (at: At) => { sound?: Partial<GroupFigures>; loop?: Partial<GroupFigures> }) =>
  study.judge(
    CASES.map(({ at }) => {
      const { sound = {}, loop = {} } = of(at);
      const measured: RunawayFigures = {
        groups: { sound: groupOf(sound), loop: groupOf({ sessions: 5, tokens: 9_000_000, ...loop }) },
        score: SCORE,
      };
      return { at, figures: figuresOf(), measured };
    }),
  ).claims;

test('where no defence changes anything, nothing is saved', () => {
  const [burns, stops, , , , , together, throttle] = judged(() => ({}));
  // 5 of 105 sessions use nine tenths of the tokens.
  expect(burns!.verdict).toBe('confirmed');
  expect([stops, together, throttle].map(claim => claim!.verdict)).toEqual(Array(3).fill('contradicted'));
});

test('a budget that saves much and stops few is confirmed, one that stops many only in part', () => {
  const budget = (completed: number) =>
    judged(({ way }) =>
      way.startsWith('stop') ? { sound: { completed }, loop: { tokens: 1_000_000 } } : {},
    )[1]!;
  expect(budget(100).verdict).toBe('confirmed');
  expect(budget(80)).toMatchObject({ verdict: 'partly', figure: expect.stringContaining('stop 20 %') });
});

test('tokens of sound sessions that a defence stops are not counted as saved', () => {
  const [, stops] = judged(({ way }) => (way.startsWith('stop') ? { sound: { tokens: 1 } } : {}));
  expect(stops).toMatchObject({ verdict: 'contradicted', figure: expect.stringContaining('save 0 %') });
});

/** Few sessions, of which many loop. */
const run = async (way: string): Promise<RunawayFigures> => {
  const { of } = CASES.find(({ at }) => at.way === way)!;
  const set = ['traffic.0.sessions=40', 'faults.0.share=15%'];
  const scenario = { ...of.scenario, options: { ...of.scenario.options, set } };
  const outcome = await new CaseRunner().run({ ...of, scenario });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.measured as RunawayFigures;
};

test('the same sessions run away whatever the defence, and no session passes the budget that stops it', async () => {
  const [none, stop, loop] = [await run('none'), await run('stop-500000'), await run('loop-4')];
  const sizes = ({ groups }: RunawayFigures) =>
    Object.entries(groups)
      .map(([name, { sessions }]) => `${name} ${sessions}`)
      .sort();
  expect(sizes(stop)).toEqual(sizes(none));
  expect(sizes(loop)).toEqual(sizes(none));
  for (const { tokensMost } of Object.values(stop.groups)) expect(tokensMost).toBeLessThanOrEqual(500_000);
  expect(none.groups.sound!.tokensMost).toBeGreaterThan(500_000);
  const loops = loop.score.byLabel.find(({ label }) => label === 'loop');
  expect(loops!.sessions).toBeGreaterThan(0);
  expect(loops!.recall).toBe(1);
  expect(loop.groups.loop!.tokens).toBeLessThan(none.groups.loop!.tokens / 10);
}, 30_000);

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/runaway.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study runaway');
  for (const { text } of judged(() => ({}))) expect(page).toContain(text);
});
