// The study of cancellation: what its figures lead to, and the laws of its smallest runs.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/cancellation.ts';
import { type Cancelled, HAZARDS, type Late } from '../../../lab/studies/cancellation-measure.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

const late = (gpuSeconds: number, toolSeconds = 0): Late => ({
  sessions: 10,
  outputTokens: gpuSeconds * 100,
  gpuSeconds,
  usd: gpuSeconds / 1000,
  toolSeconds,
});

/** `nobody`, `agent`, `all`: GPU-seconds for users who had left, of 100. */
const judged = (secs: { nobody: number; agent: number; all: number; tools?: number }, ttftMs = 100) =>
  study.judge(
    CASES.map(({ at }) => {
      const own = at.part === 'nobody' ? 0 : at.tells === 'all' ? secs.all : secs.agent;
      const measured: Cancelled = {
        outputTokens: 10_000,
        gpuSeconds: 100,
        late: late(own),
        untold: at.part === 'nobody' ? HAZARDS.map(() => late(secs.nobody, secs.tools ?? 0)) : [],
        cleanMsP50: 10,
        cleanMsP95: 50,
      };
      const isTold = at.part !== 'nobody' && at.tells === 'all';
      return {
        at,
        figures: figuresOf(),
        cohorts: { staying: figuresOf({ ttftMsP95: isTold ? ttftMs : 100 }), leaving: figuresOf() },
        measured,
      };
    }),
  ).claims;
const verdicts = (...of: Parameters<typeof judged>) => judged(...of).map(({ verdict }) => verdict);

test('where nothing is done for those who left, nothing but the quick clean-up is confirmed', () => {
  expect(verdicts({ nobody: 0, agent: 0, all: 0 })).toEqual([
    'contradicted',
    'contradicted',
    'contradicted',
    'contradicted',
    'confirmed',
  ]);
});

test('each claim follows from its own figure', () => {
  const most = { nobody: 40, agent: 30, all: 0, tools: 100 };
  expect(verdicts(most, 50)).toEqual(Array(5).fill('confirmed'));
  expect(verdicts({ ...most, agent: 8 }, 90).slice(1, 4)).toEqual(['partly', 'confirmed', 'partly']);
});

async function run(found: (at: At) => boolean): Promise<Cancelled> {
  const { of } = CASES.find(({ at }) => at.seed === 2 && at.load === 'spare' && found(at))!;
  const outcome = await new CaseRunner().run(of);
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.measured as Cancelled;
}

test('the fewer are told, the more is done for users who have left', async () => {
  const nobody = (await run(at => at.part === 'nobody')).untold[1]!;
  const agent = await run(at => at.part === 'users' && at.tells === 'agent');
  const all = await run(at => at.part === 'users' && at.tells === 'all');
  expect(all.late.sessions).toBeGreaterThan(0);
  expect(all.late.toolSeconds).toBe(0);
  expect(all.late.gpuSeconds).toBeLessThan(agent.late.gpuSeconds / 4);
  expect(agent.late.gpuSeconds).toBeLessThan(nobody.gpuSeconds);
  expect(agent.late.toolSeconds).toBeGreaterThan(0);
  // An engine ends the step that it is in; what nobody tells goes on for seconds.
  expect(all.cleanMsP95!).toBeLessThan(1000);
  expect(agent.cleanMsP95!).toBeGreaterThan(1000);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/cancellation.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study cancellation');
  for (const { text } of judged({ nobody: 0, agent: 0, all: 0 })) expect(page).toContain(text);
});
