// What the first second of a replay names, on servers that lack one thing each.
import { afterEach, expect, test } from 'vitest';
import { longestCalls } from '../../../loadgen/doctor/longest.ts';
import { firstCalls } from '../../../loadgen/first-call.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { type SmallServerOptions, smallServer } from '../../builders/openai-server.ts';
import { planOf } from '../../builders/scenarios.ts';
import { deploymentOf } from '../../builders/worlds.ts';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

const LONG = { step: 'answer', promptTokens: 9000, outputTokens: 100 };

/** The first calls to a small server, at `path` of it. */
async function started(
  options: SmallServerOptions,
  { path = '/v1', model = 'small', longest = undefined as typeof LONG | undefined, key = '' } = {},
) {
  const server = await smallServer(options);
  open.push(server.close);
  const more = key === '' ? '' : ', key_env: THE_KEY';
  const deployment = deploymentOf(`
windtunnel: 1
deployment: live
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536 }
    step: { model: affine, base: 4ms }
    endpoints: [ { url: "${server.url}${path}", model: ${model}${more} } ]`);
  const targets = deployment.pools.map(({ name, endpoints }) => ({
    what: `pool "${name}"`,
    endpoints,
    longest,
  }));
  const environment = { THE_KEY: key };
  return { server, calls: firstCalls({ deployment, targets, environment, vocabTokens: 32_000 }) };
}

async function refusal(...args: Parameters<typeof started>): Promise<UserError> {
  const { calls } = await started(...args);
  return calls.then(
    () => Promise.reject(new Error('nothing was refused')),
    (error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      return error;
    },
  );
}

test('a server that has what a replay needs is asked few times, and loaded', async () => {
  const { server, calls } = await started({}, { longest: { ...LONG, promptTokens: 8000 } });
  expect((await calls).warnings).toEqual([]);
  expect(server.bodies).toHaveLength(1);
  expect(server.asked.length).toBeLessThanOrEqual(3);
});

test.each([
  ['', '/v1 is missing'],
  ['/v1/v1', '/v1 stands in it more than once'],
])('the path %j is answered with the right one', async (path, says) => {
  const error = await refusal({}, { path });
  expect(error.message).toContain(says);
  expect(error.hint).toMatch(/^write `url: http:\/\/127\.0\.0\.1:\d+\/v1`$/);
});

test('a wrong model is answered with the right one', async () => {
  const error = await refusal({ models: ['small-7b', 'large-70b'] }, { model: 'small-7' });
  expect(error.message).toContain('has no model "small-7": did you mean "small-7b"?');
});

test('a prompt that its context cannot hold is named with its step', async () => {
  const error = await refusal({ contextTokens: 9000 }, { longest: LONG });
  expect(error.message).toContain('takes 9000 tokens at most, and "answer" sends 9000 and wants 100 more');
  await (await started({ contextTokens: 9100 }, { longest: LONG })).calls;
  await (await started({ contextTokens: null }, { longest: LONG })).calls;
});

test('no usage, no streaming and no key are named, each with what to do', async () => {
  expect((await refusal({ usage: false })).message).toContain('streams without usage');
  expect((await refusal({ streams: false })).message).toContain('does not answer with a stream');
  const wrong = await refusal({ key: 'sk-right' }, { key: 'sk-wrong' });
  expect(wrong.message).toContain('401');
  expect(`${wrong.message} ${wrong.hint}`).not.toContain('sk-');
});

test('the longest call of a plan is found for each pool', () => {
  const plan = planOf(`
windtunnel: 1
seed: 1
models: { main: { model: ministral-3-14b }, spare: { model: ministral-3-14b } }
workflows:
  w:
    steps:
      - { llm: short, model: main, adds: 100, out: 10 }
      - { llm: long, model: main, adds: 500, out: 40 }
      - { llm: other, model: spare, adds: 50, out: 5 }
traffic: [ { workflow: w, arrival: { at_once: true }, sessions: 3 } ]
`);
  const longest = longestCalls(plan, model => model);
  expect(longest.get('main')).toEqual({ step: 'long', promptTokens: expect.any(Number), outputTokens: 40 });
  expect(longest.get('main')!.promptTokens).toBeGreaterThanOrEqual(500);
  expect(longest.get('spare')).toMatchObject({ step: 'other', outputTokens: 5 });
});
