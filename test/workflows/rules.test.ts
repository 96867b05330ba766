// What the gateway obeys of a scenario, compiled: the rules of steps, tools and workflows, and what stands in for what.
import { describe, expect, test } from 'vitest';
import { NO_WORKFLOW_RULES } from '../../scenarios/formats/rules.ts';
import { eachStep, type LlmStep, type ToolStep, type Workflow } from '../../scenarios/workflows/program.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { compileText, firstSession, planOf } from '../builders/scenarios.ts';

interface Text {
  steps?: string;
  workflow?: string;
  model?: string;
  tool?: string;
  more?: string;
  cohort?: string;
}
const text = ({
  steps = '[ fetch, { llm: a, model: m, adds: 10, out: 5 } ]',
  workflow = '',
  model = '',
  tool = '',
  more = '',
  cohort = '',
}: Text): string => `
windtunnel: 1
models: { m: { model: ministral-3-14b${model} } }
tools: { fetch: { latency: 1s${tool} } }
workflows:
  main:
    ${workflow}
    steps: ${steps}
${more}
traffic: [ { workflow: main, arrival: { at_once: true }, sessions: 1${cohort} } ]
`;

function mainOf(given: Text): { main: Workflow; llm: LlmStep; tool: ToolStep } {
  const { compiled, problems } = compileText(text(given));
  expect(problems).toBe('');
  const main = compiled!.workflows.get('main')!;
  let llm: LlmStep | undefined;
  let tool: ToolStep | undefined;
  eachStep(main.steps, step => {
    if (step.verb === 'llm') llm ??= step;
    if (step.verb === 'tool') tool ??= step;
  });
  return { main, llm: llm!, tool: tool! };
}
const llm = (keys: string) => `[ fetch, { llm: a, model: m, adds: 10, out: 5, ${keys} } ]`;

describe('rules of a call', () => {
  test('are its own, else those of its workflow; of a workflow a bare timeout is of the whole session', () => {
    const around =
      'retry: openai\n    timeout: { attempt: 9s, total: 60s }\n    hints: { output_tokens: true }';
    const given = mainOf({ workflow: around });
    expect(given.llm.rules).toMatchObject({
      retry: { max: 2 },
      timeout: { attemptMs: 9000, totalMs: null },
      hints: { outputTokens: true },
    });
    expect(given.main.rules.timeoutMs).toBe(60_000);
    const own = mainOf({ workflow: around, steps: llm('retry: { max: 5 }, timeout: 3s') });
    expect(own.llm.rules).toMatchObject({ retry: { max: 5 }, timeout: { attemptMs: 3000 } });
    const bare = mainOf({ workflow: 'timeout: 60s' });
    expect([bare.llm.rules.timeout, bare.main.rules.timeoutMs]).toEqual([null, 60_000]);
  });

  test('allow what their role may, else what their workflow may', () => {
    const workflow =
      'allow: { models: [m] }\n    roles: { worker: { allow: { tools: [fetch] }, consent: true } }\n    role: worker';
    const worker = mainOf({ workflow, steps: llm('role: worker') });
    expect(worker.llm.rules.allow).toMatchObject({ tools: ['fetch'], models: null });
    expect(worker.tool.rules).toMatchObject({ role: 'worker', allow: { tools: ['fetch'] } });
    expect(worker.tool.rules.consentMs).not.toBeNull();
    expect(mainOf({ workflow, steps: llm('role: planner') }).llm.rules.allow).toMatchObject({
      models: ['m'],
    });
    const asked = mainOf({ workflow, steps: '[ { tool: fetch, consent: false }, { llm: a, out: 1 } ]' });
    expect(asked.tool.rules.consentMs).toBeNull();
  });

  test('know how long an answer may be: as allowed, else as long as 99.9 % of them are', () => {
    const most = (keys: string) =>
      mainOf({ steps: `[ { llm: a, model: m, ${keys} } ]` }).llm.rules.maxOutputTokens;
    expect(most('out: 50')).toBe(50);
    expect(most('out: 50, reasoning: 200')).toBe(250);
    expect(most('out: { dist: uniform, min: 0, max: 1000 }')).toBe(999);
    // Two parts, each below its 99.95 % in both: at least 99.9 % of sums are below.
    expect(
      most('out: { dist: uniform, min: 0, max: 1000 }, reasoning: { dist: uniform, min: 0, max: 1000 }'),
    ).toBe(2000);
    expect(most('out: =3 * 7')).toBeNull();
    expect(most('out: { median: 50, p90: 900 }, max_tokens: 64')).toBe(64);
  });
});

describe('max_tokens', () => {
  const callOf = (keys: string) => {
    const plan = planOf(text({ steps: `[ { llm: a, model: m, adds: 10, ${keys} } ]` }));
    const { outputTokens, reasoningTokens } = walk(firstSession(plan)).calls[0]!;
    return [outputTokens, reasoningTokens];
  };

  test('cuts what is drawn, reasoning last to go', () => {
    expect(callOf('out: 500, max_tokens: 64')).toEqual([64, 0]);
    expect(callOf('out: 500, reasoning: 100, max_tokens: 164')).toEqual([164, 100]);
    expect(callOf('out: 500, reasoning: 100, max_tokens: 64')).toEqual([64, 64]);
    expect(callOf('out: 40, reasoning: 20, max_tokens: 60')).toEqual([60, 20]);
  });
});

describe('rules of a tool', () => {
  test('come from the step, else from the tool', () => {
    const tool =
      ', timeout: 5s, retry: { max: 2 }, idempotent: false, cpu: 2, memory: 1GB, warm_pool: 3, store: { name: memory, writes: true }, needs: { hosts: [h] }';
    expect(mainOf({ tool }).tool.rules).toMatchObject({
      tool: 'fetch',
      timeout: { attemptMs: 5000 },
      retry: { max: 2 },
      idempotent: false,
      cpuCores: 2,
      memoryBytes: 1e9,
      runtime: { warmPool: 3, concurrency: null, coldStart: null },
      store: { name: 'memory', writes: true },
      needs: { hosts: ['h'], files: [], subprocesses: false },
    });
    const steps = '[ { tool: fetch, timeout: 1s, sensitivity: personal }, { llm: a, out: 1 } ]';
    expect(mainOf({ tool, steps }).tool.rules).toMatchObject({
      timeout: { attemptMs: 1000 },
      sensitivity: 'personal',
    });
  });
});

describe('rules of the whole', () => {
  const rulesOf = (given: Text) => planOf(text(given)).rules!;

  test('a scenario that says nothing needs no gateway, labels and lengths aside', () => {
    expect(rulesOf({}).isGoverned).toBe(false);
    expect(rulesOf({ steps: llm('sensitivity: x, complexity: low, max_tokens: 9') }).isGoverned).toBe(false);
    expect(mainOf({}).main.rules).toBe(NO_WORKFLOW_RULES);
  });

  test.each<[string, Text]>([
    ['a step', { steps: llm('retry: openai') }],
    ['a tool', { tool: ', timeout: 5s' }],
    ['a workflow', { workflow: 'checkpoint: { every: 5, cost: 20ms }' }],
    ['a model', { model: ', rate_limit: anthropic-start' }],
    ['a tenant', { more: 'tenants: { t: { budget: { usd: 5 } } }', cohort: ', tenant: t' }],
    ['a cohort', { cohort: ', cancel: { hazard: 0.2%/s }' }],
  ])('%s with a rule does', (_name, given) => {
    expect(rulesOf(given).isGoverned).toBe(true);
  });

  test('a tenant that nobody is of governs nobody', () => {
    expect(rulesOf({ more: 'tenants: { t: { budget: { usd: 5 } } }' }).isGoverned).toBe(false);
  });

  test('restarts go on from a checkpoint where there is any', () => {
    const both = 'checkpoint: { every: 30s }\n    restarts: { max: 2 }';
    expect(mainOf({ workflow: both }).main.rules).toMatchObject({
      checkpoint: { every: { ms: 30_000 } },
      restarts: { max: 2, from: 'checkpoint' },
    });
    expect(mainOf({ workflow: 'restarts: { max: 2 }' }).main.rules.restarts?.from).toBe('start');
    const { problems } = compileText(text({ workflow: 'restarts: { max: 2, from: checkpoint }' }));
    expect(problems).toMatch(/test\.yaml:7:\d+ {2}error {2}WT1005 there are no checkpoints/);
  });
});

describe('faults', () => {
  const faultsOf = (faults: string) => planOf(text({ more: `faults: [ ${faults} ]` }));

  test('are planned with what their kind means where the file does not say', () => {
    expect(
      faultsOf(
        '{ fault: runaway, target: a, share: 5% }, { fault: replica_crash, at: 1s }, { fault: network_loss, rate: 1/h, for: 30s, share: 2% }',
      ),
    ).toMatchObject({
      crashes: [{ fault: 1, atMs: 1000 }],
      faults: [
        { fault: 0, kind: 'runaway', target: 'a', atMs: 0, share: 0.05, factor: 10, label: 'loop' },
        { fault: 2, kind: 'network_loss', atMs: null, lastsMs: 30_000, share: 0.02, label: 'network_loss' },
      ],
    });
  });

  test.each([
    ['{ fault: runaway, target: b }', /WT1102 unknown step "b"/],
    ['{ fault: tool_failure, target: fetsh }', /WT1102 unknown tool "fetsh"/],
    ['{ fault: agent_crash, target: nobody }', /WT1102 unknown workflow "nobody"/],
    ['{ fault: replica_crash, share: 5% }', /WT1005 `share` means nothing for a replica_crash/],
    ['{ fault: provider_outage, at: 1s, rate: 1/h }', /WT1005 a fault has `at` or `rate`/],
  ])('%s is refused', (fault, message) => {
    expect(compileText(text({ more: `faults: [ ${fault} ]` })).problems).toMatch(message);
  });
});

describe('contradictions', () => {
  test.each<[string, Text, RegExp]>([
    [
      'a total below one attempt',
      { steps: llm('timeout: { attempt: 9s, total: 5s }') },
      /:8:\d+ {2}error {2}WT1403/,
    ],
    [
      'a budget of retries that allows none',
      { tool: ', retry: { max: 0, budget: 20% }' },
      /:4:\d+ {2}error {2}WT1405/,
    ],
    ['a model that stands in for itself', { model: ', fallback: [m]' }, /:3:\d+ {2}error {2}WT1402/],
    [
      'a budget without a limit',
      { workflow: 'budget: { soft: 80% }' },
      /:7:\d+ {2}error {2}WT1004 a budget without/,
    ],
    [
      'a smaller model that there is not',
      { workflow: 'budget: { llm_calls: 1, save: { model: tiny } }' },
      /WT1102 unknown model "tiny"/,
    ],
  ])('%s', (_name, given, message) => {
    expect(compileText(text(given)).problems).toMatch(message);
  });
});
