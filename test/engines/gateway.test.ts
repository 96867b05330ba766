// The gateway of a deployment file resolved, what stands around it, and rules that contradict each other.
import { describe, expect, test } from 'vitest';
import { resolveDeployment } from '../../engines/deploy.ts';
import { parseDeployment } from '../../scenarios/formats/deployment/deployment.ts';
import { formatIssues, parseSource } from '../../scenarios/formats/source.ts';

const POOL =
  'model: ministral-3-14b, limits: { max_model_len: 4096, kv_blocks: 4096 }, step: { model: affine, base: 8ms }';

function resolved(more: string, { pool = '', provider = '' } = {}) {
  const text = `windtunnel: 1
deployment: test
pools: { local: { ${POOL}${pool} }, spare: { ${POOL} } }
providers: { vendor: { latency: { ttft: 1s, tpot: 9ms }${provider}, models: { frontier: { model: claude-opus-5-5, success: 90% } } } }
${more}
`;
  const source = parseSource(text, 'd.yaml');
  const { file, issues } = parseDeployment(source);
  expect(formatIssues(issues, source, { colour: false })).toBe('');
  const { deployment, issues: told } = resolveDeployment(file!, 'abc', {
    routingPolicies: ['least-outstanding'],
  });
  return { deployment, problems: formatIssues(told, source, { colour: false }) };
}

/** The gateway of a file without a problem. */
function gatewayOf(more: string) {
  const { deployment, problems } = resolved(`gateway: { ${more} }`);
  expect(problems).toBe('');
  return deployment!.gateway!;
}

describe('a gateway', () => {
  test('is there where something is to decide; admission and a place alone are not', () => {
    const text = `windtunnel: 1\ndeployment: plain\npools: { main: { ${POOL} } }\n`;
    const plain = (more: string) =>
      resolveDeployment(parseDeployment(parseSource(`${text}${more}`, 'd.yaml')).file!, 'abc', {
        routingPolicies: ['least-outstanding'],
      }).deployment!.gateway;
    expect(plain('')).toBeNull();
    expect(plain('gateway: { admission: { policy: always } }')).toBeNull();
    expect(plain('gateway: { retry: openai }')).toMatchObject({ retry: { max: 2 }, degraded: 'fail_closed' });
  });

  test('a model that says how good it is has its quality there, unless the gateway says it', () => {
    expect(resolved('').deployment!.gateway!.quality).toEqual(
      new Map([['frontier', { success: { low: 0.9, medium: 0.9, high: 0.9 } }]]),
    );
    expect(gatewayOf('quality: { frontier: 80%, local: { low: 98%, high: 60% } }').quality).toEqual(
      new Map([
        ['frontier', { success: { low: 0.8, medium: 0.8, high: 0.8 } }],
        ['local', { success: { low: 0.98, medium: 1, high: 0.6 } }],
      ]),
    );
  });

  test('`budget` is one of each session; `budgets` are for whom they name', () => {
    expect(
      gatewayOf('budget: { tokens: 1M }, budgets: [ { each: user, usd: 5, per: 1d } ]').budgets,
    ).toMatchObject([
      { each: 'session', workflow: null, limits: { tokens: 1e6 }, perMs: null },
      { each: 'user', limits: { usd: 5 }, perMs: 86_400_000 },
    ]);
  });

  test('the matrix of a classifier has rows that sum to 1; errors of an accuracy are spread evenly', () => {
    const rows = (more: string) => gatewayOf(`classifier: { ${more} }`).classifier!.confusion;
    expect(rows('accuracy: 92%')[0]).toEqual([0.92, expect.closeTo(0.04, 12), expect.closeTo(0.04, 12)]);
    expect(rows('confusion: { low: { low: 90%, high: 10% } }')).toEqual([
      [0.9, 0, 0.1],
      [0, 1, 0],
      [0, 0, 1],
    ]);
    for (const row of [...rows('accuracy: 37%'), ...rows('')])
      expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    expect(resolved('gateway: { classifier: { confusion: { low: { low: 90% } } } }').problems).toMatch(
      /WT1005 calls of complexity low are seen as something in 90 % of cases/,
    );
  });

  test('limits, anomalies, degraded modes and agents have their defaults', () => {
    expect(
      gatewayOf(
        'rate_limits: [ { preset: anthropic-tier-1, each: tenant, max_wait: 5s } ], anomalies: { action: throttle }, degraded: { mode: queue, max_wait: 9s }, agents: { depth: 2 }, deadlines: split, propagate_cancel: false',
      ),
    ).toMatchObject({
      limits: [{ rpm: 50, each: 'tenant', model: null, maxWaitMs: 5000 }],
      anomalies: { repeats: 3, burn: 2, calls: null, action: 'throttle', throttleMs: 5000 },
      degraded: 'queue',
      degradedWaitMs: 9000,
      agents: { max: null, depth: 2 },
      splitsDeadline: true,
      propagatesCancel: false,
    });
  });
});

describe('a provider', () => {
  test('has a prompt cache unless it is off, and outages with what they do to the rest', () => {
    const api = (provider: string) => resolved('', { provider }).deployment!.hosted[0]!.api!;
    expect(api('').cache).toEqual({ ttlMs: 300_000, minTokens: 1024 });
    expect(api(', cache: off').cache).toBeNull();
    expect(api(', cache: { ttl: 1h }').cache).toEqual({ ttlMs: 3_600_000, minTokens: 1024 });
    expect(api(', outages: [ { at: 1m, for: 30s, share: 20%, slowdown: 3 } ]').outages[0]).toMatchObject({
      atMs: 60_000,
      share: 0.2,
      slowdown: 3,
    });
    expect(api(', limits: gemini-tier-1').limits.provider?.spend).toEqual({ usd: 10, windowMs: 600_000 });
  });
});

describe('places', () => {
  const places = 'places: { office: { kind: client }, paris: { kind: region, labels: [eu] } }';

  test('agents are at the client, where there is one', () => {
    const link = 'links: { up: { between: [office, paris], rtt: 9ms } }';
    expect(resolved(`${places}\n${link}`, { pool: ', place: paris' }).deployment!.places).toMatchObject({
      agents: 'office',
      links: [{ name: 'up', rttMs: 9, tls: true, keepAliveMs: 60_000 }],
      places: [{ labels: [] }, { labels: ['eu'] }],
    });
  });

  test('that no link leads to are refused', () => {
    expect(resolved(places, { pool: ', place: paris' }).problems).toMatch(
      /d\.yaml:3:\d+ {2}error {2}WT1404 no link leads from "office" to "paris"/,
    );
  });

  test('without anybody to call from are refused', () => {
    expect(resolved('places: { paris: { kind: region } }').problems).toMatch(
      /WT1004 nothing says where calls come from/,
    );
  });
});

describe('rules that contradict each other', () => {
  const destinations = 'destinations: { personal: [local], public: [local, vendor] }';
  const problems = (more: string) => resolved(`gateway: { ${more} }`).problems;

  test.each([
    [
      'a choice',
      `${destinations}, choose: [ { sensitivity: personal, use: frontier } ]`,
      /WT1401 "personal" may not go to "frontier"/,
    ],
    [
      'one of several',
      `${destinations}, choose: [ { sensitivity: personal, use: { local: 80%, frontier: 20% } } ]`,
      /WT1401/,
    ],
    [
      'an escalation',
      `${destinations}, choose: [ { sensitivity: personal, use: local, escalate: { to: frontier } } ]`,
      /WT1401/,
    ],
    [
      'a label that is not there',
      `${destinations}, choose: [ { sensitivity: secret, use: local } ]`,
      /WT1401 "secret" may not go to "local"/,
    ],
    [
      'a fallback',
      `${destinations}, fallback: { local: [spare] }`,
      /WT1401 "spare" cannot stand in for "local"/,
    ],
    ['a target for itself', 'fallback: { local: [local] }', /error {2}WT1402 "local" stands in for itself/],
    ['a circle', 'fallback: { local: [spare], spare: [local] }', /warning {2}WT2020 local -> spare -> local/],
    [
      'a pause beyond the total',
      'timeout: { total: 1s }, retry: { backoff: 2s..9s }',
      /WT1403 the first pause/,
    ],
    ['no target with a weight', 'choose: [ { use: { local: 0% } } ]', /WT1005 every weight is 0/],
  ])('%s', (_name, more, message) => {
    expect(problems(more)).toMatch(message);
    expect(problems(more)).toMatch(/d\.yaml:5:\d+/);
  });

  test('what a label allows, by its provider too, is no contradiction', () => {
    expect(
      problems(
        `${destinations}, choose: [ { sensitivity: public, use: frontier } ], fallback: { frontier: [local] }`,
      ),
    ).toBe('');
    expect(problems('choose: [ { sensitivity: personal, use: frontier } ]')).toBe('');
  });
});
