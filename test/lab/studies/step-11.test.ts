// The study of retries: what its figures lead to, and the laws of its smallest runs.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/step-11.ts';
import type { Retried } from '../../../lab/studies/step-11-measure.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

const PLAIN: Retried = {
  sessions: 100,
  completed: 100,
  calls: 1000,
  attempts: 1000,
  tokens: 1_000_000,
  wastedTokens: 0,
  usd: 1,
  doneAgain: 0,
  perhapsAgain: 0,
  doubled: 0,
  againPromptTokens: 0,
  againCachedTokens: 0,
  started: Array(18).fill(10),
  through: Array(18).fill(10),
  sent: Array(18).fill(10),
};

const judged = (measured: (at: At) => Partial<Retried>) =>
  study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf(), measured: { ...PLAIN, ...measured(at) } })))
    .claims;

const verdictOf = (measured: (at: At) => Partial<Retried>, text: string) =>
  judged(measured).find(claim => claim.text.includes(text))?.verdict;

const isWay = (at: At, ...ways: string[]): boolean => at.part === 'steps' && ways.includes(at.way);

test('where nothing is paid or done twice, nothing of it is confirmed', () => {
  const verdicts = judged(() => ({})).map(({ verdict }) => verdict);
  // That those who know the workflow complete as many holds of course.
  expect(verdicts).toEqual([
    'contradicted',
    'contradicted',
    'confirmed',
    'contradicted',
    'contradicted',
    'contradicted',
    'contradicted',
    'confirmed',
    'partly',
  ]);
});

test('side effects done again by one of two blind ways confirm the claim in part, by both in full', () => {
  expect(verdictOf(at => (isWay(at, 'restart') ? { doneAgain: 3 } : {}), 'side effects')).toBe('partly');
  expect(verdictOf(at => (isWay(at, 'restart', 'blind') ? { perhapsAgain: 3 } : {}), 'side effects')).toBe(
    'confirmed',
  );
});

test('an outage lasts where those who try again never come back and those who do not do', () => {
  const lost = (at: At) =>
    at.part === 'outage' && at.rule === 'gateway' ? { through: Array(18).fill(1) } : {};
  expect(verdictOf(lost, 'make an outage')).toBe('confirmed');
  const both = (at: At) => (at.part === 'outage' ? { through: Array(18).fill(1) } : {});
  expect(verdictOf(both, 'make an outage')).toBe('contradicted');
});

async function run(found: (at: At) => boolean): Promise<Retried> {
  const { of } = CASES.find(({ at }) => at.seed === 1 && found(at))!;
  const outcome = await new CaseRunner().run(of);
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.measured as Retried;
}

const ofTools = (way: string) =>
  run(at => at.part === 'steps' && at.kind === 'tools 5 %' && at.way === way && at.routing !== 'round-robin');

test('only who tries a change again makes one twice; only a restart makes one that was surely done', async () => {
  const [none, restart, blind, careful] = [
    await ofTools('none'),
    await ofTools('restart'),
    await ofTools('blind'),
    await ofTools('careful'),
  ];
  for (const { doneAgain, perhapsAgain } of [none, careful]) expect(doneAgain + perhapsAgain).toBe(0);
  expect(restart.doneAgain).toBeGreaterThan(0);
  expect(blind.doneAgain).toBe(0);
  expect(blind.perhapsAgain).toBeGreaterThan(0);
  // The gateway says the same, in whichever life of a session it was.
  for (const { doneAgain, perhapsAgain, doubled } of [restart, blind])
    expect(doubled).toBe(doneAgain + perhapsAgain);
  // The same tools fail for all of them.
  expect(none.completed).toBeLessThan(careful.completed);
  expect(careful.completed).toBeLessThan(blind.completed);
});

test('at full failure three layers make 108 requests of each call', async () => {
  const { sessions, attempts, completed } = await run(at => at.part === 'layers' && at.chance === 1);
  expect(attempts).toBe(108 * sessions);
  expect(completed).toBe(0);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/step-11.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study step-11');
  for (const { text } of judged(() => ({}))) expect(page).toContain(text);
});
