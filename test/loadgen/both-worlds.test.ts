// One scenario on one deployment, simulated and live: where nothing depends on timing, the gateway decides the same.
import { afterEach, describe, expect, test } from 'vitest';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { planOf } from '../builders/scenarios.ts';
import { simulated } from '../builders/worlds.ts';
import { emulator, isIdle, type LiveEmulator, liveDeployment, replayed } from './live.ts';

const servers: LiveEmulator[] = [];
afterEach(async () => {
  const used = servers.splice(0);
  await isIdle(...used);
  for (const server of used) await server.close();
});

interface Decides {
  readonly decisions: readonly {
    session: string;
    call: string | null;
    policy: string;
    decision: string;
    why: string;
  }[];
}

const told = ({ decisions }: Decides): string[] =>
  decisions.map(each => [each.session, each.call, each.policy, each.decision, each.why].join(' | ')).sort();

const LOOP = '{ repeat: often, times: 12, steps: [ { llm: ask, adds: 40, out: 20 }, fetch ] }';

const scenario = (workflow: string, steps: string, extra = ''): string =>
  `
windtunnel: 1
seed: 5
models: { main: { model: ministral-3-14b }, spare: { model: ministral-3-14b } }
tools: { fetch: { latency: 5ms, result: 10 }, shell: { latency: 5ms, result: 10 } }
${extra}
workflows: { main: { model: main, ${workflow} steps: [ ${steps} ] } }
traffic: [ { workflow: main, arrival: { at_once: true }, sessions: 6, TENANT } ]
`.replace(', TENANT', extra === '' ? '' : ', tenant: acme');

const CASES: [string, string, string][] = [
  ['a budget of calls that ends sessions', scenario('budget: { llm_calls: 4 },', LOOP), ''],
  ['a budget of tokens, by what was used', scenario('budget: { tokens: 900 },', LOOP), ''],
  [
    'a budget that is finalised',
    scenario(
      'budget: { llm_calls: 4, on_exceed: finalize },',
      `${LOOP}, { llm: last, role: final, adds: 5, out: 5 }`,
    ),
    '',
  ],
  [
    'a budget that saves: another model, a shorter answer',
    scenario('budget: { llm_calls: 6, soft: 50%, save: { model: spare, output_tokens: 4 } },', LOOP),
    '',
  ],
  [
    'tools that are not allowed',
    scenario('allow: { tools: [fetch] },', '{ llm: ask, adds: 9, out: 5 }, fetch, shell'),
    '',
  ],
  [
    'models by weight, answers asked for again by share',
    scenario('', LOOP),
    '{ choose: [ { use: { main: 60%, spare: 40% }, escalate: { to: spare, share: 30% } } ] }',
  ],
  [
    'labels that may not leave',
    scenario('', '{ llm: ask, sensitivity: personal, adds: 9, out: 5 }'),
    '{ choose: [ { use: spare } ], destinations: { personal: [main] } }',
  ],
  [
    'answers that are not good enough, tried again',
    scenario('', LOOP),
    '{ quality: { main: 60% }, on_bad_answer: retry, retry: { max: 3, backoff: 1ms..2ms } }',
  ],
  ['a loop that is noticed', scenario('', LOOP), '{ anomalies: { calls: 5, action: cancel } }'],
];

/** What became of sessions and attempts, whenever it did. */
const ends = ({ workflows, governed }: RunOutput): string[] => [
  ...governed!.attempts
    .map(({ session, call, attempt, kind, target, promptTokens, outputTokens, outcome, waste, error }) =>
      [session, call, attempt, kind, target, promptTokens, outputTokens, outcome, waste, error].join(' '),
    )
    .sort(),
  ...workflows.map(({ session, status, error }) => `${session} ${status} ${error}`).sort(),
];

async function compared(text: string, deployment: string): Promise<void> {
  const live = await replayed(text, deployment);
  const sim = simulated(planOf(text), deployment);
  expect(told(live.governed).length).toBeGreaterThan(0);
  expect(told(live.governed)).toEqual(told(sim.governed!));
  expect(ends(live)).toEqual(ends(sim));
}

async function serving(inject = ''): Promise<string> {
  const server = await emulator(inject);
  servers.push(server);
  return server.url;
}

describe('the decisions of both worlds are the same', () => {
  test.each(CASES)('%s', async (_, text, gateway) => {
    const url = await serving();
    await compared(text, liveDeployment({ main: [url], spare: [url] }, gateway));
  });

  test('an API that always fails: retries until they are used up, then another target, then a breaker', async () => {
    const [broken, good] = [await serving('error=100%'), await serving()];
    const provider = `
providers:
  vendor:
    endpoint: { url: ${broken} }
    fail: 100%
    models: { frontier: { model: spare, price: { in: 1, out: 2 }, latency: { ttft: 5ms, tpot: 1ms }, max_model_len: 64k } }`;
    const gateway =
      '{ retry: { max: 2, backoff: 1ms..2ms, errors: [5xx] }, fallback: { frontier: [spare] }, breaker: { failures: 7, open: 1h }, choose: [ { use: frontier } ] }';
    const text = scenario('', LOOP).replace(
      'arrival: { at_once: true }',
      'arrival: { closed: { agents: 1 } }',
    );
    await compared(text, liveDeployment({ main: [good], spare: [good] }, gateway, provider));
  });
});
