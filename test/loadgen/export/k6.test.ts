// The files that `export k6` writes, read without k6.
import { stripTypeScriptTypes } from 'node:module';
import { describe, expect, test } from 'vitest';
import { testRun } from '../../../loadgen/export/testrun.ts';
import { thresholdsOf } from '../../../loadgen/export/thresholds.ts';
import type { Issue } from '../../../scenarios/base/issue.ts';
import { parseAssertion } from '../../../scenarios/formats/assertions.ts';
import { planOf, workflowText } from '../../builders/scenarios.ts';
import { exported, LIVE_DEPLOYMENT } from '../k6/ideal.ts';

const TEXT = (traffic: string, more = ''): string => `
windtunnel: 1
seed: 3
models: { m: { model: ministral-3-14b } }
prefixes: { system: { tokens: 300, scope: global } }
workflows:
  main: { prefix: [system], steps: [ { llm: a, role: worker, adds: 20, out: 10 }, { llm: b, adds: 5, out: 4 } ] }
traffic: ${traffic}
${more}`;
const POISSON = '[ { workflow: main, arrival: { poisson: { rate: 2/s } }, sessions: 12 } ]';

describe('the script', () => {
  test('is TypeScript that only needs its types stripped, and imports nothing but k6', () => {
    const { text } = exported(planOf(TEXT(POISSON)));
    const script = stripTypeScriptTypes(text);
    expect([...script.matchAll(/^import .* from '(.+)';$/gm)].map(([, name]) => name).sort()).toEqual([
      'k6/data',
      'k6/execution',
      'k6/http',
      'k6/metrics',
    ]);
    expect(script).not.toContain(".ts'");
    expect(script.match(/^export /gm)).toHaveLength(2);
    expect(script).toMatch(/^export const options = /m);
    expect(script).toMatch(/^export async function run\(/m);
  });

  test('with --sse streams over k6/x/sse', () => {
    const { text, lost } = exported(planOf(TEXT(POISSON)), { sse: true });
    expect(stripTypeScriptTypes(text)).toContain("from 'k6/x/sse'");
    expect(text).not.toContain("from 'k6/http'");
    expect(lost[0]).toContain('one after the other');
  });

  test('names keys and never holds them', () => {
    process.env.WINDTUNNEL_TEST_KEY = 'a-secret-of-mine';
    const deployment = LIVE_DEPLOYMENT('http://127.0.0.1:1/v1', ', key_env: WINDTUNNEL_TEST_KEY');
    const { text, settings } = exported(planOf(TEXT(POISSON)), {}, deployment);
    delete process.env.WINDTUNNEL_TEST_KEY;
    expect(text).not.toContain('a-secret-of-mine');
    expect(settings.targets[0]!.key).toEqual({
      env: 'WINDTUNNEL_TEST_KEY',
      headers: { authorization: 'Bearer {KEY}' },
    });
  });

  test('says in its head what is lost, one line each', () => {
    const retry = 'hedge: { after: 1s }';
    const plan = planOf(workflowText(`[ { llm: a, adds: 5, out: 3, ${retry} } ]`));
    const { text, lost } = exported(plan);
    expect(lost.some(each => each.includes('hedges'))).toBe(true);
    for (const each of lost) expect(text).toContain(`// - ${each}\n`);
  });

  test('has a body with the fields of its server, the length of each call, and usage at the end', () => {
    const { settings, plan } = exported(planOf(TEXT(POISSON)));
    const [target] = settings.targets;
    expect(target).toMatchObject({
      url: 'http://127.0.0.1:8010/v1/chat/completions',
      lengthFields: ['max_tokens', 'min_tokens'],
      body: {
        model: 'main',
        stream: true,
        temperature: 0,
        ignore_eos: true,
        stream_options: { include_usage: true },
      },
    });
    const [session] = plan.main![0]!;
    expect(session!.calls.map(call => [call.step, call.promptTokens, call.outputTokens])).toEqual([
      ['a', 320, 10],
      ['b', 335, 4],
    ]);
  });
});

describe('when sessions start', () => {
  test('at the instants of the plan, by shared iterations with a user for each that is under way', () => {
    const plan = planOf(TEXT(POISSON));
    const { options, plan: chains } = exported(plan);
    const cohort = plan.cohorts[0]!;
    const planned = cohort.kind === 'open' ? [...cohort.sessions()].map(({ plannedMs }) => plannedMs) : [];
    expect(chains.main!.map(([session]) => session!.atMs)).toEqual(planned);
    expect(options.scenarios.main).toMatchObject({
      executor: 'shared-iterations',
      exec: 'run',
      iterations: 12,
      vus: 12,
    });
  });

  test('with fewer users where they are asked for, and only the first sessions', () => {
    const { options, plan } = exported(planOf(TEXT(POISSON)), { vus: 3 }, LIVE_DEPLOYMENT(), 5);
    expect(options.scenarios.main).toMatchObject({ vus: 3, iterations: 5 });
    expect(plan.main).toHaveLength(5);
  });

  test('an agent of a closed cohort is one iteration: its sessions come after each other', () => {
    const closed = '[ { workflow: main, arrival: { closed: { agents: 2, think: 3s } }, sessions: 5 } ]';
    const { options, plan } = exported(planOf(TEXT(closed)));
    expect(options.scenarios.main).toMatchObject({ vus: 2, iterations: 2 });
    expect(plan.main!.map(chain => chain.map(({ atMs }) => atMs))).toEqual([
      [0, 3000, 3000],
      [0, 3000],
    ]);
  });

  test('a closed cohort without a number of sessions is refused, or cut', () => {
    const endless = planOf(TEXT('[ { workflow: main, arrival: { closed: { agents: 2 } }, for: 1h } ]'));
    expect(() => exported(endless)).toThrow(/has no number of sessions/);
    const { plan } = exported(endless, {}, LIVE_DEPLOYMENT(), 3);
    expect(plan.main!.map(chain => chain.length)).toEqual([2, 1]);
  });
});

const thresholds = (line: string, streams = false) => {
  const issues: Issue[] = [];
  const assertion = parseAssertion(line, [], issues);
  expect(issues).toEqual([]);
  return thresholdsOf([assertion!], streams);
};

describe('what is judged', () => {
  test.each([
    ['p95(e2e, step=a) < 3s', 'windtunnel_call_ms{step:a}', 'p(95)<3000'],
    ['mean(e2e, role=worker) <= 800ms', 'windtunnel_call_ms{role:worker}', 'avg<=800'],
    ['p99(e2e, workflow=main) < 8s', 'windtunnel_workflow_ms{workflow:main}', 'p(99)<8000'],
    ['max(makespan) < 1m', 'windtunnel_workflow_ms', 'max<60000'],
    ['rate(429) < 1%', 'windtunnel_rate_429', 'rate<0.01'],
    ['count(calls, step=a) == 12', 'windtunnel_calls{step:a}', 'count==12'],
  ])('%s is %s %s', (line, metric, threshold) => {
    expect(thresholds(line)).toMatchObject({ thresholds: { [metric]: [threshold] }, lost: [] });
  });

  test('first tokens only where they are seen', () => {
    expect(thresholds('p95(ttft, step=a) < 1s').lost[0]).toContain('sees no first token');
    expect(thresholds('p95(ttft, step=a) < 1s', true).thresholds).toEqual({
      'windtunnel_ttft_ms{step:a}': ['p(95)<1000'],
    });
  });

  test('what k6 cannot divide or see is said, not dropped', () => {
    for (const line of ['cache_hit(role=x) > 50%', 'p50(tpot) < 20ms', 'p95(queue) < 1s'])
      expect(thresholds(line)).toMatchObject({ thresholds: {}, lost: [expect.stringContaining(line)] });
  });

  test('an SLO is the share of its calls that keep it', () => {
    const text = TEXT(POISSON).replace('out: 10 }', 'out: 10, slo: { e2e: 2s, success: 90% } }');
    const { options, settings } = exported(planOf(text));
    expect(options.thresholds).toEqual({ 'windtunnel_slo{slo:slo_0}': ['rate>=0.9'] });
    expect(settings.slos).toEqual([
      { name: 'slo_0', of: 'calls', filter: { workflow: 'main', step: 'a' }, e2eMs: 2000, ttftMs: null },
    ]);
  });
});

describe('a TestRun', () => {
  const parts = { name: 'My Scan', pods: 4, bytes: 20_000, keys: ['API_KEY'], sse: false };

  test('mounts a ConfigMap, takes keys from a secret, and warns of what pods do not merge', () => {
    const yaml = testRun(parts);
    expect(yaml).toContain('parallelism: 4');
    expect(yaml).toContain('configMap:\n      name: windtunnel-my-scan');
    expect(yaml).toContain('secretKeyRef');
    expect(yaml).toContain('k6 merges neither');
  });

  test('a plan too large for a ConfigMap goes into a volume', () => {
    expect(testRun({ ...parts, bytes: 3_000_000 })).toContain('volumeClaim:');
  });

  test('has no more pods than a scenario has sessions', () => {
    expect(() => exported(planOf(TEXT(POISSON)), { testrun: 20 })).toThrow(/12 sessions for 20 pods/);
  });
});
