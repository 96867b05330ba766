// The numbers of the four background articles that library scenarios honour (workloads.md §1), counted on walked
// sessions, and two that only a run can show.
import { describe, expect, test } from 'vitest';
import { pricesOf } from '../../lab/prices.ts';
import { shapeOf } from '../../lab/shape.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import { mean, planOfEntry, quantile, type WalkedSession, walked } from './sessions.ts';
import { simulatedOn } from './simulated.ts';

const of = (sessions: readonly WalkedSession[], workflow: string): WalkedSession[] =>
  sessions.filter(each => each.workflow === workflow);
const callsOf = (sessions: readonly WalkedSession[]): Call[] => sessions.flatMap(each => [...each.calls]);

/** Most calls one after the other. */
function chainCalls(session: WalkedSession): number {
  const depth = new Map<string, number>();
  for (const node of session.nodes) {
    const before = node.cause === null ? 0 : (depth.get(node.cause) ?? 0);
    depth.set(node.call, before + (node.kind === 'llm' ? 1 : 0));
  }
  return Math.max(...depth.values());
}

test('job-scanner: 23 companies, 15 calls each on average, 345 a run; a chat makes one', () => {
  const [exact] = of(walked(planOfEntry('job-scanner', 'params.postings=14')), 'scan');
  expect(exact!.calls).toHaveLength(345);
  expect(exact!.calls.filter(call => call.step === 'filter')).toHaveLength(23);
  const drawn = of(walked(planOfEntry('job-scanner', 'traffic.0.sessions=40')), 'scan');
  expect(mean(drawn.map(each => each.calls.length))).toBeGreaterThan(335);
  expect(mean(drawn.map(each => each.calls.length))).toBeLessThan(355);
  for (const chat of of(walked(planOfEntry('job-scanner')), 'chat')) expect(chat.calls).toHaveLength(1);
});

test('meeting-ingester: four calls in strict series of 2 s each are 8 s, where a chat takes 2 s', () => {
  const sessions = of(walked(planOfEntry('meeting-ingester')), 'ingest');
  for (const session of sessions) {
    expect(session.calls).toHaveLength(4);
    expect(session.widthMax).toBe(1);
    expect(chainCalls(session)).toBe(4);
  }
  const { calls } = simulatedOn('meeting-ingester', 'workstation-ministral-14b');
  const seconds = (workflow: string) =>
    mean(calls.filter(call => call.workflow === workflow).map(call => (call.endMs! - call.sentMs!) / 1000));
  expect(seconds('ingest')).toBeGreaterThan(1.9);
  expect(seconds('ingest')).toBeLessThan(2.1);
  expect(seconds('chat')).toBeGreaterThan(1.9);
  expect(seconds('chat')).toBeLessThan(2.1);
});

test('evaluator-loop: three iterations, a context that grows with each, three times the tokens and more', () => {
  const sessions = walked(planOfEntry('evaluator-loop'));
  const loop = of(sessions, 'refine')[0]!;
  const prompts = loop.calls.filter(call => call.step === 'evaluate').map(call => call.promptTokens);
  expect(prompts).toHaveLength(3);
  expect(prompts).toEqual([...prompts].sort((a, b) => a - b));
  const billed = (session: WalkedSession) =>
    session.calls
      .filter(call => !call.step.startsWith('draft'))
      .reduce((sum, call) => sum + call.promptTokens + call.outputTokens, 0);
  expect(billed(loop) / billed(of(sessions, 'one-pass')[0]!)).toBeGreaterThan(3);
});

test('repo-summary: four model turns and three tool calls, where a chat has one', () => {
  const sessions = walked(planOfEntry('repo-summary'));
  for (const session of of(sessions, 'summarize')) {
    expect(session.calls).toHaveLength(4);
    expect(session.toolCalls).toBe(3);
  }
  for (const session of of(sessions, 'chat')) expect(session.calls).toHaveLength(1);
});

test('hybrid-routing: classify, extract and route stay local; of the answers 80 % do, 20 % go to the frontier', () => {
  const calls = callsOf(walked(planOfEntry('hybrid-routing', 'traffic.0.sessions=2000'), 2000));
  const modelsOf = (step: string) =>
    new Set(calls.filter(call => call.step === step).map(call => call.model));
  for (const step of ['classify', 'extract', 'route']) expect(modelsOf(step)).toEqual(new Set(['local']));
  const answers = calls.filter(call => call.step.startsWith('answer'));
  expect(answers).toHaveLength(2000);
  const local = answers.filter(call => call.model === 'local').length / answers.length;
  // Three standard errors of 2,000 draws.
  expect(Math.abs(local - 0.8)).toBeLessThan(3 * Math.sqrt((0.8 * 0.2) / 2000));
  const hard = answers.filter(call => call.model === 'frontier');
  expect(new Set(hard.map(call => call.step))).toEqual(new Set(['answer-frontier']));
  // What is personal stays: the frontier model sees the system prompt, what was extracted, and the question.
  expect(hard.every(call => call.promptTokens === 2800 + 150 + 300)).toBe(true);
});

describe('break-even', () => {
  const dayPrices = (...set: string[]) => {
    const plan = planOfEntry('break-even', ...set);
    const { workflows } = loadScenario('break-even', { set }).compiled!;
    const shapes = shapeOf(plan, workflows, pricesOf(plan, null));
    return new Map(shapes.map(each => [each.workflow, each]));
  };

  test('345 calls a day cost $3.78 at $3/$15, a GPU at $2.50 an hour pays from 5,479 calls a day on', () => {
    const days = dayPrices();
    expect(days.get('scanner-day')).toMatchObject({ callsMin: 345, callsMax: 345 });
    expect(days.get('scanner-day')?.usdUncached).toBeCloseTo(3.78, 2);
    expect(days.get('break-even-day')).toMatchObject({ callsMin: 5479, callsMax: 5479 });
    expect(days.get('break-even-day')?.usdUncached).toBeCloseTo(24 * 2.5, 1);
  });

  test('is a function of its inputs: GPT-5.2 at 3,000 + 500 tokens and $2.95 an hour gives 5,780', () => {
    const days = dayPrices(
      'params.gpu_usd_per_hour=2.95',
      'params.tokens_in=3000',
      'params.tokens_out=500',
      'params.usd_per_m_in=1.75',
      'params.usd_per_m_out=14',
      'models.api.price.in=1.75',
      'models.api.price.out=14',
    );
    expect(days.get('break-even-day')?.callsMin).toBe(5780);
    expect(days.get('break-even-day')?.usdUncached).toBeCloseTo(24 * 2.95, 1);
  });
});

test('mixed-fleet: fan-outs, chains and loops at the same time', () => {
  const { workflows } = simulatedOn('mixed-fleet', 'workstation-ministral-14b');
  const overlapping = (a: string, b: string) =>
    workflows.some(
      x =>
        x.workflow === a &&
        workflows.some(y => y.workflow === b && x.startMs! < y.endMs! && y.startMs! < x.endMs!),
    );
  expect(
    overlapping('scan', 'ingest') && overlapping('ingest', 'refine') && overlapping('scan', 'refine'),
  ).toBe(true);
});

test('remote-agent: a failed tool is tried once more, and the agent goes on without it', () => {
  const sessions = walked(planOfEntry('remote-agent'), 200);
  const again = sessions.flatMap(each => each.nodes.filter(node => node.call.includes('/again')));
  expect(again.length).toBeGreaterThan(0);
  expect(sessions.every(each => each.status === 'completed')).toBe(true);
  expect(sessions.every(each => each.calls.at(-1)?.step === 'final')).toBe(true);
});

test('deep-trace: 52 model calls and 24 tool calls a request, on three models, of 10,000 users', () => {
  const plan = planOfEntry('deep-trace');
  const sessions = walked(plan);
  for (const session of sessions) {
    expect(session.calls).toHaveLength(52);
    expect(session.toolCalls).toBe(24);
    const models = session.calls.map(call => call.model);
    expect([models[0], models.at(-1)]).toEqual(['intent', 'guard']);
    expect(models.slice(1, -1).every(model => model === 'answer')).toBe(true);
  }
  const tools = sessions.flatMap(each => each.nodes.filter(node => node.kind === 'tool'));
  const starts = tools.map(node => node.endMs - node.startMs);
  expect(quantile(starts, 0.5)).toBeGreaterThan(450);
  expect(quantile(starts, 0.5)).toBeLessThan(535);
});

describe('workflow-gateway', () => {
  test('one request is 20 model calls, and a repair for each of its tools that failed', () => {
    for (const { calls, nodes } of walked(planOfEntry('workflow-gateway'))) {
      const repairs = calls.filter(call => call.step === 'repair').length;
      expect(calls).toHaveLength(20 + repairs);
      expect(calls[0]?.role).toBe('planner');
      expect(calls.at(-1)?.role).toBe('final');
      const failed = nodes.filter(
        node => node.step === 'lookup' && node.status === 'failed' && !node.call.includes('again'),
      );
      expect(repairs).toBe(failed.length);
    }
    const all = walked(planOfEntry('workflow-gateway'));
    expect(all.some(each => each.calls.length > 20)).toBe(true);
  });

  test('POST /chat took 41 s, on one workstation', () => {
    const { workflows } = simulatedOn('workflow-gateway', 'workstation-ministral-14b');
    const seconds = workflows.map(each => (each.endMs! - each.plannedMs) / 1000);
    expect(quantile(seconds, 0.5)).toBeGreaterThan(40);
    expect(quantile(seconds, 0.5)).toBeLessThan(42);
  });
});
