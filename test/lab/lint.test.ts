// The lints that need sessions, the catalogue or a deployment: for each a minimal file that it warns of and one that it
// lets pass; the load against hand-computed cases and against the simulator.
import { describe, expect, test } from 'vitest';
import { offeredLoad } from '../../lab/lint/offered-load.ts';
import { codesOf, contextOf, linted } from '../builders/lints.ts';
import { planOf } from '../builders/scenarios.ts';
import { DEPLOYMENT, simulated } from '../builders/worlds.ts';

interface Text {
  steps?: string;
  workflow?: string;
  model?: string;
  tools?: string;
  more?: string;
  arrival?: string;
  sessions?: number;
  assert?: string;
}

const text = ({
  steps = '[ { llm: answer, adds: 100, out: 20 } ]',
  workflow = '',
  model = 'model: ministral-3-14b',
  tools = '',
  more = '',
  arrival = 'at_once: true',
  sessions = 20,
  assert = '',
}: Text): string => `
windtunnel: 1
models: { m: { ${model} } }
tools: { ${tools} }
workflows:
  main:
    ${workflow}
    steps: ${steps}
${more}
traffic:
  - { workflow: main, arrival: { ${arrival} }, sessions: ${sessions} }
assert: [ ${assert} ]
`;

/** The one finding of a text. */
function only(given: Text, deployment: string | null = null): ReturnType<typeof linted>[number] {
  const found = linted(text(given), deployment);
  expect(found.map(({ code, message }) => `${code} ${message}`)).toHaveLength(1);
  return found[0]!;
}

describe('WT2010: budgets that no session can keep', () => {
  const steps = '[ { llm: a, adds: 1000, out: 50 }, search, { llm: b, adds: 500, out: 20 } ]';
  const tools = 'search: { latency: 3s }';
  const budgeted = (budget: string): Text => ({ steps, tools, workflow: `budget: { ${budget} }` });

  test.each([
    ['input_tokens: 900', '900', 'smallest prompt of the first sessions has 1000 tokens'],
    ['output_tokens: 10', '10', 'smallest output of the first sessions has 20 tokens'],
    ['tokens: 1000', '1000', 'smallest call of the first sessions has 1050 tokens'],
    ['llm_calls: 1', '1', '2 calls expected of a session: 100 % of the first 20 sessions need more'],
    ['wall: 2s', '2s', 'half of the sessions need 3 s without any call'],
  ])('%s', (budget, at, message) => {
    const found = only(budgeted(budget));
    expect(found).toMatchObject({ code: 'WT2010', at });
    expect(found.message).toContain(message);
  });

  test('USD: even a call whose whole prompt is cached costs more', () => {
    // 1000 tokens at 0.1 and 50 at 2 a million are 0.0002; 1550 cached and 20 out are 0.000195.
    const model = 'model: ministral-3-14b, price: { in: 1, cached_in: 0.1, out: 2 }';
    const found = only({ ...budgeted('usd: 0.0001'), model });
    expect(found.message).toContain('the cheapest of the first sessions costs 0.00019 USD');
    expect(codesOf(text({ ...budgeted('usd: 0.001'), model }))).toEqual([]);
  });

  test('one that holds a session is fine', () => {
    const budget = 'input_tokens: 5k, output_tokens: 500, tokens: 6k, llm_calls: 4, tool_calls: 2, wall: 1m';
    expect(codesOf(text(budgeted(budget)))).toEqual([]);
  });
});

describe('WT2011: timeouts below the usual time of a tool', () => {
  const steps = '[ fetch, { llm: a, out: 5 } ]';
  const fetch = (timeout: string): string =>
    `fetch: { latency: { median: 350ms, p90: 1.1s }, timeout: ${timeout} }`;

  test('of the tool, plain and of an attempt', () => {
    const found = only({ steps, tools: fetch('200ms') });
    expect(found).toMatchObject({ code: 'WT2011', at: '200ms' });
    expect(found.message).toContain('half of them take 350 ms or more');
    // The 99th percentile: 350 ms exp(2.3263 x ln(1.1 / 0.35) / 1.2816) = 2.8 s.
    expect(found.hint).toContain('write 2.8s or more');
    expect(only({ steps, tools: fetch('{ attempt: 300ms }') }).code).toBe('WT2011');
  });

  test('of a step', () => {
    const tools = 'fetch: { latency: 2s }';
    expect(only({ steps: '[ { tool: fetch, timeout: 1s }, { llm: a, out: 5 } ]', tools }).at).toBe('1s');
  });

  test('one above it is fine', () => {
    expect(codesOf(text({ steps, tools: fetch('5s') }))).toEqual([]);
  });
});

describe('WT2012: prompts beyond the window', () => {
  // ministral-3-14b has a window of 262,144 tokens.
  test('of one call, at its step', () => {
    const found = only({ steps: '[ { llm: reads-all, adds: 300k, out: 10 } ]' });
    expect(found).toMatchObject({ code: 'WT2012', at: '{ llm: reads-all, adds: 300k, out: 10 }' });
    expect(found.message).toContain(
      'exceed the 262.1k tokens of ministral-3-14b in 20 of the first 20 sessions',
    );
  });

  test('of a loop, with the pass in which its context is full', () => {
    // Pass n has n x 50,100 tokens with its answer: the sixth is the first beyond.
    const found = only({
      steps: '[ { repeat: rounds, times: 8, steps: [ { llm: turn, adds: 50k, out: 100 } ] } ]',
    });
    expect(found.message).toContain('from pass 6 of "rounds" on');
    expect(found.hint).toContain('compact_at');
  });

  test('not below it, and with a deployment that is an error instead', () => {
    expect(codesOf(text({ steps: '[ { llm: a, adds: 200k, out: 10 } ]' }))).toEqual([]);
    expect(codesOf(text({ steps: '[ { llm: a, adds: 300k, out: 10 } ]' }), DEPLOYMENT())).toEqual([]);
  });
});

describe('WT2013: more work than the deployment can do', () => {
  const step = 'model: affine, base: 10ms, per_token: 100us';
  const given = (rate: string): Text => ({
    steps: '[ { llm: a, adds: 100, out: 101 } ]',
    arrival: `poisson: { rate: ${rate} }`,
    sessions: 400,
  });
  const loadOf = (rate: string, deployment: string) =>
    offeredLoad(contextOf(text(given(rate)), deployment).context)[0]!;

  test('utilisation by hand: 100 prompt tokens and 100 decode steps of 64 sequences', () => {
    // A full step takes 10 ms + 64 x 0.1 ms, so a token 16.4 / 64 ms; a prompt adds 100 x 0.1 ms: 35.625 ms a session.
    const load = loadOf('10/s', DEPLOYMENT('', step));
    expect(load).toMatchObject({ pool: 'main', batch: 64, boundBy: 'sequences', sessionsPerSec: 10 });
    expect(load.utilizationRatio).toBeCloseTo(0.35625, 6);
    expect(loadOf('10/s', DEPLOYMENT('', step, 2)).utilizationRatio).toBeCloseTo(0.178125, 6);
    // In flight 10/s x (1.64 s + 10 ms) x 150.5 tokens, of 1,048,576.
    expect(load.kvRatio).toBeCloseTo((10 * 1.65 * 150.5) / 1048576, 6);
  });

  test('a KV cache that holds fewer sequences than the batch bounds it', () => {
    // 320 blocks of 16 tokens hold 34 sequences of 150.5 tokens.
    const load = loadOf(
      '10/s',
      DEPLOYMENT('', step).replace('kv_blocks: 65536', 'kv_blocks: 320').replace('65536', '5000'),
    );
    expect(load).toMatchObject({ batch: 34, boundBy: 'kv' });
    expect(load.utilizationRatio).toBeCloseTo(10 * (100 * (0.0134 / 34) + 0.01), 6);
  });

  test('above capacity: the rate it could hold, and the replicas it needs', () => {
    const found = only(given('40/s'), DEPLOYMENT('', step));
    expect(found).toMatchObject({ code: 'WT2013', at: '{ poisson: { rate: 40/s } }' });
    expect(found.message).toContain('143 % of what pool "main" can do');
    expect(found.message).toContain('40/s sessions, where it could hold 28.1/s');
    expect(found.hint).toContain('at least 2 replicas instead of 1');
    expect(codesOf(text(given('20/s')), DEPLOYMENT('', step))).toEqual([]);
    expect(codesOf(text(given('40/s')), DEPLOYMENT('', step, 2))).toEqual([]);
  });

  test('a pool that scales is judged by the most replicas it can have, also where it begins with none', () => {
    const scaling = 'autoscaler: { policy: keda, min: 0, max: 2, metric: queue, target: 4 }';
    const scaled = DEPLOYMENT('', step, 0).replace('    limits:', `    ${scaling}\n    limits:`);
    expect(loadOf('10/s', scaled)).toMatchObject({ replicas: 2 });
    expect(loadOf('10/s', scaled).utilizationRatio).toBeCloseTo(0.178125, 6);
  });

  test('the peak of a rate that moves decides', () => {
    const spike: Text = {
      ...given('10/s'),
      arrival: 'poisson: { rate: 10/s }, spike: { at: 10s, for: 10s, times: 4 }',
    };
    expect(only(spike, DEPLOYMENT('', step)).message).toContain('143 %');
  });

  test('closed agents and bursts offer no rate', () => {
    for (const arrival of ['closed: { agents: 500 }', 'at_once: true'])
      expect(codesOf(text({ ...given('1/s'), arrival }), DEPLOYMENT('', step))).toEqual([]);
  });

  test('a simulated cluster under such a load does no more than the lint says it can, and most of it', () => {
    const heavy = text({ ...given('100/s'), sessions: 1500 });
    const { context } = contextOf(heavy, DEPLOYMENT('', step));
    const load = offeredLoad(context)[0]!;
    const capacityPerSec = load.sessionsPerSec / load.utilizationRatio;
    const { workflows } = simulated(planOf(heavy), DEPLOYMENT('', step));
    const lastMs = Math.max(...workflows.map(({ endMs }) => endMs ?? 0));
    const donePerSec = (workflows.length / lastMs) * 1000;
    expect(donePerSec).toBeLessThan(capacityPerSec * 1.01);
    expect(donePerSec).toBeGreaterThan(capacityPerSec * 0.85);
  });
});

describe('WT2014: assertions and SLOs with nothing to judge', () => {
  const more = '  helper: { slo: { e2e: 9s }, steps: [ { llm: think, role: worker, out: 5 } ] }';

  test.each([
    ['p95(itl, role=final) < 50ms', 'kept for the whole run only, not by role'],
    ['p95(ttft, role=planner) < 1s', 'no call of the traffic has role=planner'],
    ['p95(tpot, step=decide) < 50ms', 'these calls give one token each'],
    ['rate(timout) < 1%', 'no call ends with "timout"'],
    ['count(tool_calls, step=answer) >= 1', 'no call of the traffic has all of its filters'],
  ])('%s', (line, message) => {
    const steps =
      '[ { llm: answer, role: final, adds: 100, out: 20 }, { llm: decide, role: router, out: 1 } ]';
    const found = only({ steps, assert: JSON.stringify(line) });
    expect(found).toMatchObject({ code: 'WT2014', at: JSON.stringify(line) });
    expect(found.message).toContain(message);
  });

  test('a hint names what there is, or the nearest word', () => {
    const steps = '[ { llm: answer, role: final, adds: 100, out: 20 } ]';
    expect(only({ steps, assert: '"p95(ttft, role=planner) < 1s"' }).hint).toBe(
      'roles of the traffic: final',
    );
    expect(only({ assert: 'rate(timout) < 1%' }).hint).toBe('did you mean "timeout"?');
  });

  test('the slo of a workflow that only runs as a sub-agent', () => {
    const found = only({ more, steps: '[ { agent: helper } ]' });
    expect(found).toMatchObject({ code: 'WT2014' });
    expect(found.message).toContain('inside the sessions of others');
  });

  test('what is judged passes', () => {
    const assert = [
      'p95(itl) < 50ms',
      'p95(ttft, step=answer) < 1s',
      'rate(429) < 1%',
      'rate(timeout) < 1%',
      'count(tool_calls) >= 0',
      'p95(tpot) < 9s',
    ]
      .map(line => JSON.stringify(line))
      .join(', ');
    expect(codesOf(text({ assert }))).toEqual([]);
  });
});

describe('WT2015: targets that tools and people alone exceed', () => {
  const steps = '[ { map: all, over: 3, steps: [ fetch ] }, { human: 4s }, { llm: a, out: 5 } ]';
  const tools = 'fetch: { latency: 5s }';

  test('an assertion on the time of a workflow: tools at once take 5 s, the person 4 s', () => {
    for (const line of [
      'p95(makespan, workflow=main) < 8s',
      'p50(e2e, workflow=main) <= 8s',
      'max(makespan, workflow=main) < 8s',
    ]) {
      const found = only({ steps, tools, assert: JSON.stringify(line) });
      expect(found).toMatchObject({ code: 'WT2015', at: JSON.stringify(line) });
      expect(found.message).toContain('no engine can meet 8 s: tools and people alone take 9 s');
    }
  });

  test('an slo', () => {
    expect(only({ steps, tools, workflow: 'slo: { e2e: 8s }' })).toMatchObject({ code: 'WT2015', at: '8s' });
  });

  test('a target above, and one on calls, can be met', () => {
    const assert =
      '"p95(makespan, workflow=main) < 12s", "p95(e2e, workflow=main, step=a) < 2s", "mean(makespan, workflow=main) > 8s"';
    expect(codesOf(text({ steps, tools, assert, workflow: 'slo: { e2e: 20s }' }))).toEqual([]);
  });
});

describe('WT2016: money is asked for, and a price is not known', () => {
  const model = 'model: command-a-plus';
  const workflow = 'budget: { usd: 5 }';

  test('by a budget', () => {
    const found = only({ model, workflow });
    expect(found).toMatchObject({ code: 'WT2016', at: '5' });
    expect(found.hint).toContain('give models.m a price');
    expect(codesOf(text({ model: `${model}, price: { in: 1, out: 2 }`, workflow }))).toEqual([]);
    expect(codesOf(text({ workflow }))).toEqual([]);
  });
});

/** Two pools, a provider of one model, and a gateway in front. */
const governed = (gateway: string, more = '') => `
windtunnel: 1
deployment: test
pools:
  local: { model: ministral-3-14b, limits: { max_model_len: 4096, kv_blocks: 4096 }, step: { model: affine, base: 8ms }${more} }
providers:
  vendor: { latency: { ttft: 600ms, tpot: 12ms }, models: { frontier: { model: claude-opus-5-5 } } }
gateway: { ${gateway} }
`;
const models = 'model: ministral-3-14b }, frontier: { model: claude-opus-5-5';

describe('WT2010: a first call that a budget never lets go', () => {
  // Answers of 20 tokens at the median reserve what 99.9 % of them stay below.
  const steps = '[ { llm: a, adds: 1000, out: { median: 20, p90: 400, max: 3000 } } ]';
  const workflow = 'budget: { tokens: 1500 }';

  test('reserves its prompt and the most that its answer may have', () => {
    const found = only({ steps, workflow });
    expect(found).toMatchObject({ code: 'WT2010', at: '1500' });
    expect(found.message).toBe(
      'tokens 1500 holds no first call: it reserves at least 4000 tokens, the most that its answer may have',
    );
  });

  test('goes where max_tokens bounds its answer', () => {
    expect(codesOf(text({ steps: steps.replace('out:', 'max_tokens: 500, out:'), workflow }))).toEqual([]);
  });

  test('of a tenant', () => {
    const more = 'tenants: { big: { user_budget: { tokens: 900 } } }';
    const owned = text({ more, steps }).replace('workflow: main,', 'workflow: main, tenant: big, users: 2,');
    expect(linted(owned)).toMatchObject([{ code: 'WT2010', at: '900' }]);
  });
});

describe('WT2017: a label that the gateway does not know', () => {
  const labelled = (label: string) => ({
    steps: `[ { llm: a, model: m, adds: 100, out: 20, sensitivity: ${label} } ]`,
  });

  test('is denied, so its calls all fail', () => {
    const found = only(labelled('secret'), governed('destinations: { personal: [local] }'));
    expect(found).toMatchObject({ code: 'WT2017', at: 'secret' });
  });

  test('not where there are no destinations, nor of one that is there', () => {
    expect(codesOf(text(labelled('secret')), governed('retry: openai'))).toEqual([]);
    expect(codesOf(text(labelled('personal')), governed('destinations: { personal: [local] }'))).toEqual([]);
  });
});

describe('WT2018: what is used and not allowed', () => {
  const tools = 'fetch: { latency: 1s, needs: { hosts: [api.example.com], subprocesses: true } }';
  const steps = '[ fetch, { llm: a, model: m, adds: 100, out: 20 } ]';
  const found = (allow: string) => linted(text({ tools, steps, workflow: `allow: { ${allow} }` }));

  test.each([
    ['tools: []', 'the tool "fetch" is not among the tools: every run of it is denied'],
    ['tools: [fetch]', 'the tool "fetch" needs hosts that are not granted: every run of it is denied'],
    [
      'hosts: ["*.example.com"]',
      'the tool "fetch" starts subprocesses, and none may: every run of it is denied',
    ],
  ])('%s', (allow, message) => {
    expect(found(allow)).toMatchObject([{ code: 'WT2018', message }]);
  });

  test('a model; and nothing where no allow stands, or all is granted', () => {
    expect(codesOf(text({ tools, steps }))).toEqual([]);
    expect(found('hosts: ["*"], subprocesses: true')).toEqual([]);
    const other = {
      steps: steps.replace('fetch, ', ''),
      workflow: 'allow: { models: [frontier] }',
      model: models,
    };
    expect(linted(text(other)).filter(({ code }) => code !== 'WT2004')).toMatchObject([{ code: 'WT2018' }]);
  });

  test('by the gateway where the workflow says nothing', () => {
    expect(codesOf(text({ tools, steps }), governed('allow: { tools: [] }'))).toEqual(['WT2018']);
  });
});

describe('WT2019: a way out that nothing serves', () => {
  const spare = 'model: ministral-3-14b }, spare: { model: mistral-small-4';

  test.each([
    ['a fallback', { steps: '[ { llm: a, model: m, adds: 9, out: 2, fallback: [spare] } ]' }],
    [
      'the smaller model of a budget',
      {
        steps: '[ { llm: a, model: m, adds: 9, out: 2 } ]',
        workflow: 'budget: { llm_calls: 5, save: { model: spare } }',
      },
    ],
  ])('%s', (_name, given) => {
    const found = linted(text({ ...given, model: spare }), governed('retry: openai'));
    expect(found.filter(({ code }) => code !== 'WT2004')).toMatchObject([{ code: 'WT2019' }]);
  });
});

describe('WT2021: data that may not go where it is sent', () => {
  const destinations = 'destinations: { personal: [local], public: [local, vendor] }';
  const step = (label: string, more: string) => ({
    steps: `[ { llm: a, adds: 100, out: 20, sensitivity: ${label}, ${more} } ]`,
    model: models,
  });
  const codes = (given: Text, gateway: string, more = '') =>
    codesOf(text(given), governed(gateway, more)).filter(code => code !== 'WT2004');

  test('by its own model, by a fallback, by the fallback of its model', () => {
    expect(codes(step('personal', 'model: frontier'), destinations)).toEqual(['WT2021']);
    expect(codes(step('personal', 'model: m, fallback: [frontier]'), destinations)).toEqual(['WT2021']);
    const ofModel = { ...step('personal', 'model: m'), model: `fallback: [frontier], ${models}` };
    expect(codes(ofModel, destinations)).toEqual(['WT2021']);
  });

  test('not where the label allows the provider, or a rule chooses another target', () => {
    expect(codes(step('public', 'model: m, fallback: [frontier]'), destinations)).toEqual([]);
    const chosen = `${destinations}, choose: [ { sensitivity: personal, use: local } ]`;
    expect(codes(step('personal', 'model: frontier'), chosen)).toEqual([]);
  });

  test('of a tenant whose data may go nowhere', () => {
    const owned = text({
      more: 'tenants: { eu-only: { residency: [eu] } }',
      steps: '[ { llm: a, adds: 100, out: 20 } ]',
    }).replace('workflow: main,', 'workflow: main, tenant: eu-only,');
    expect(linted(owned, governed('retry: openai'))).toMatchObject([{ code: 'WT2021' }]);
    const placed = governed('retry: openai', ', place: paris').replace(
      'gateway:',
      'places: { paris: { kind: region, labels: [eu] } }\nagents: { place: paris }\ngateway:',
    );
    expect(linted(owned, placed)).toEqual([]);
  });
});
