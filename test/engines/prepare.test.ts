// Which pool or provider serves a model, and what a run says of what only a check understands.
import { describe, expect, it } from 'vitest';
import { hostedIssues, prepare, serverOf } from '../../engines/prepare.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { deploymentOf } from '../builders/worlds.ts';

const POOL = `model: ministral-3-14b, limits: { max_model_len: 4096, kv_blocks: 4096 }, step: { model: affine, base: 8ms }`;

const deployment = (pools: string, hosted = '') =>
  deploymentOf(`
windtunnel: 1
deployment: test
${pools === '' ? '' : `pools: ${pools}`}
${hosted === '' ? '' : `providers: { vendor: { models: ${hosted} } }`}
`);

/** A plan with one call to the alias `m`, of ministral-3-14b. */
const plan = planOf(workflowText('[ { llm: a, adds: 100, out: 10 } ]'));

const served = (of: ReturnType<typeof deployment>, model = 'm') => {
  const server = serverOf(model, plan, of);
  return server?.kind === 'pool' ? server.pool.name : (server?.hosted.name ?? null);
};

describe('what serves a model', () => {
  it('is what has its name: a pool, or a model of a provider', () => {
    expect(served(deployment(`{ other: { ${POOL} }, m: { ${POOL} } }`))).toBe('m');
    expect(served(deployment(`{ other: { ${POOL} } }`, '{ m: { model: claude-opus-5-5 } }'))).toBe('m');
  });

  it('else is what serves the model behind the alias, a pool before a provider', () => {
    const twin = '{ api: { model: ministral-3-14b } }';
    expect(served(deployment(`{ a: { ${POOL} }, b: { ${POOL} } }`))).toBe('a');
    expect(served(deployment(`{ a: { ${POOL.replace('ministral-3-14b', 'tiny')} } }`, twin))).toBe('api');
    expect(served(deployment(`{ a: { ${POOL} } }`, twin))).toBe('a');
  });

  it('else is the only pool, but not beside a provider', () => {
    const other = `{ a: { ${POOL.replace('ministral-3-14b', 'tiny')} } }`;
    expect(served(deployment(other))).toBe('a');
    const hybrid = deployment(other, '{ frontier: { model: claude-opus-5-5 } }');
    expect(served(hybrid)).toBeNull();
    expect(prepare(plan, hybrid).issues[0]).toMatchObject({
      code: 'WT1204',
      message: 'no pool or provider of "test" serves "m"',
      hint: 'it has: a (tiny), frontier (claude-opus-5-5)',
    });
  });

  it('has a window, wherever it is known', () => {
    const long = planOf(workflowText('[ { llm: a, adds: 9000, out: 10 } ]'));
    const issuesOn = (of: ReturnType<typeof deployment>) =>
      prepare(long, of).issues.map(each => each.message);
    expect(issuesOn(deployment('', '{ m: { model: claude-opus-5-5 } }'))).toEqual([]);
    expect(issuesOn(deployment('', '{ m: { price: { in: 1, out: 2 } } }'))).toEqual([]);
    expect(issuesOn(deployment('', '{ m: { model: claude-opus-5-5, max_model_len: 4096 } }'))[0]).toContain(
      'exceeds the window of 4096 tokens of "m" of provider "vendor"',
    );
  });
});

describe('what a pool cannot take', () => {
  const messages = (lines: string, adds: number) =>
    prepare(
      planOf(workflowText(`[ { llm: a, adds: ${adds}, out: 10 } ]`)),
      deployment(`{ m: { ${lines} } }`),
    ).issues.map(each => each.message);

  it('is a prompt and its first token beyond the window of the prefill half', () => {
    const halves = `${POOL.replace('limits: { max_model_len: 4096', 'limits: { max_model_len: 8192')}, prefill: { limits: { max_model_len: 2000, kv_blocks: 4096 } }, decode: {}, link: { bandwidth: 50GB/s }`;
    expect(messages(halves, 1999)).toEqual([]);
    expect(messages(halves, 2000)[0]).toContain(
      'exceeds the window of 2000 tokens of the prefill half of pool "m": 2000 + 10',
    );
  });

  it('is a prompt beyond the step of TensorRT-LLM without chunks', () => {
    const whole = `${POOL.replace('limits: {', 'limits: { max_num_batched_tokens: 1000, enable_chunked_prefill: false,')}, engine: tensorrt-llm`;
    expect(messages(whole, 1000)).toEqual([]);
    expect(messages(whole, 1001)[0]).toContain(
      'exceeds the step of 1000 tokens (max_num_batched_tokens) of pool "m", which computes prompts whole: 1001 + 10',
    );
  });
});

describe('a run', () => {
  it('names the models of providers of which nothing says how fast they answer', () => {
    expect(
      hostedIssues(plan, deployment(`{ m: { ${POOL} } }`, '{ frontier: { model: claude-opus-5-5 } }')),
    ).toEqual([]);
    expect(hostedIssues(plan, deployment('', '{ m: { model: claude-opus-5-5 } }'))[0]).toMatchObject({
      code: 'WT1202',
      message: 'nothing says how fast "claude-opus-5-5" of provider "vendor" answers, which serves "m"',
    });
    const fast = '{ m: { model: claude-opus-5-5, latency: { ttft: 600ms, tpot: 12ms } } }';
    expect(hostedIssues(plan, deployment('', fast))).toEqual([]);
    // The catalogue has both parts of gpt-5, and of gpt-5-mini the first token alone.
    expect(hostedIssues(plan, deployment('', '{ m: { model: gpt-5 } }'))).toEqual([]);
    expect(hostedIssues(plan, deployment('', '{ m: { model: gpt-5-mini } }'))).toHaveLength(1);
    const half = '{ m: { model: gpt-5-mini, latency: { tpot: 9ms } } }';
    expect(hostedIssues(plan, deployment('', half))).toEqual([]);
  });

  it('calls the model of a provider by its own name', () => {
    expect(prepare(plan, deployment('', '{ sold: { model: ministral-3-14b } }')).poolOf('m')).toBe('sold');
  });
});

describe('a replica that a scenario takes away', () => {
  const crash = (target: string | null) =>
    planOf(
      `${workflowText('[ { llm: a, adds: 100, out: 10 } ]')}\nfaults: [ { fault: replica_crash, at: 1s${target === null ? '' : `, target: ${target}`} } ]\n`,
    );
  const two = `{ m: { ${POOL} }, other: { ${POOL} } }`;
  const split = `{ m: { ${POOL} }, halves: { ${POOL}, prefill: {}, decode: {}, link: { bandwidth: 50GB/s } } }`;
  const issuesOf = (target: string | null, pools: string) =>
    prepare(crash(target), deployment(pools)).issues.map(({ path, code, message, hint }) => [
      path.join('.'),
      code,
      message,
      hint,
    ]);

  it('is one of a pool, or of any', () => {
    expect(issuesOf('other', two)).toEqual([]);
    expect(issuesOf(null, two)).toEqual([]);
    expect(issuesOf('halves', split)).toEqual([]);
  });

  it('is named by its fault where there is no such pool', () => {
    expect(issuesOf('othr', two)).toEqual([
      ['faults.0.target', 'WT1102', '"test" has no pool "othr" to lose a replica', 'did you mean "other"?'],
    ]);
  });
});
