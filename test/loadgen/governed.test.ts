// The gateway on live traffic: the rules of a simulation on real sockets, before servers that fail in each way.
import { afterEach, describe, expect, test } from 'vitest';
import type { AttemptRecord } from '../../scenarios/formats/record.ts';
import { emulator, type Governed, isIdle, type LiveEmulator, liveDeployment, replayed } from './live.ts';

const servers: LiveEmulator[] = [];
afterEach(async () => {
  const used = servers.splice(0);
  // The law of every fault test: a second after the run nothing of it is left on a server.
  await isIdle(...used);
  for (const server of used) await server.close();
});

async function serving(inject = ''): Promise<LiveEmulator> {
  const server = await emulator(inject);
  servers.push(server);
  return server;
}

const scenario = (steps: string, sessions = 1, workflow = '', arrival = 'at_once: true'): string => `
windtunnel: 1
seed: 11
models: { m: { model: ministral-3-14b }, main: { model: ministral-3-14b } }
tools: { fetch: { latency: 30ms, result: 40 } }
workflows:
  main:
    model: main
    ${workflow}
    steps: ${steps}
traffic: [ { workflow: main, arrival: { ${arrival} }, sessions: ${sessions} } ]
`;
const ONE_BY_ONE = 'closed: { agents: 1 }';
const CALL = '[ { llm: ask, adds: 20, out: 6 } ]';

const byCall = ({ governed }: Governed): Map<string, AttemptRecord[]> =>
  Map.groupBy(governed.attempts, ({ session, call }) => `${session} ${call}`);
const decided = ({ governed }: Governed, policy: string): string[] =>
  governed.decisions.filter(each => each.policy === policy).map(each => each.decision);

describe('failures that pass', () => {
  test('are tried again: every failed attempt but the last of a call is followed by one that says why', async () => {
    const { url } = await serving('error=30%');
    const gateway = '{ retry: { max: 5, backoff: 5ms..20ms, errors: [5xx] } }';
    const run = await replayed(scenario(CALL, 30), liveDeployment({ main: [url], spare: [url] }, gateway));
    expect(run.workflows.map(({ status }) => status)).toEqual(run.workflows.map(() => 'completed'));
    const calls = [...byCall(run).values()];
    expect(calls).toHaveLength(30);
    for (const attempts of calls) {
      expect(attempts.map(({ attempt }) => attempt)).toEqual(attempts.map((_, place) => place));
      expect(attempts.map(({ outcome }) => outcome)).toEqual(
        attempts.map((_, place) => (place === attempts.length - 1 ? 'ok' : 'error')),
      );
      expect(attempts.slice(1).map(({ because }) => because)).toEqual(attempts.slice(1).map(() => '5xx'));
    }
    const failed = run.governed.attempts.filter(({ error }) => error === 'http_500').length;
    expect(failed).toBeGreaterThan(3);
    expect(decided(run, 'retry').filter(each => each === 'again')).toHaveLength(failed);
    expect(run.calls.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(30 + failed);
  });

  test('a 429 is obeyed: no attempt comes before its Retry-After', async () => {
    const { url } = await serving('429=60%:250ms');
    const gateway = '{ retry: { max: 9, backoff: 1ms..2ms, errors: [429] } }';
    const run = await replayed(scenario(CALL, 12), liveDeployment({ main: [url] }, gateway));
    let retries = 0;
    for (const attempts of byCall(run).values())
      for (const [place, next] of attempts.slice(1).entries()) {
        expect(next.sentMs! - attempts[place]!.endMs!).toBeGreaterThanOrEqual(249);
        retries += 1;
      }
    expect(retries).toBeGreaterThan(5);
  });

  test('an answer that has begun is not tried again: a cut stream fails its session', async () => {
    const { url } = await serving('cut=100%');
    const gateway = '{ retry: { max: 3, errors: [5xx] } }';
    const run = await replayed(
      scenario('[ { llm: ask, adds: 20, out: 40 } ]', 3),
      liveDeployment({ main: [url] }, gateway),
    );
    expect(
      run.governed.attempts.map(({ error, reason, outputTokens }) => [error, reason, outputTokens]),
    ).toEqual(Array.from({ length: 3 }, () => ['stream_cut', '5xx', 20]));
    expect(run.governed.decisions.map(({ policy, why }) => [policy, why])).toEqual(
      Array.from({ length: 3 }, () => ['retry', 'began']),
    );
    expect(run.workflows.every(({ status }) => status === 'failed')).toBe(true);
  });
});

describe('servers that do not come back', () => {
  test('calls fall back to a pool on another server', async () => {
    const [broken, good] = [await serving('error=100%:503'), await serving()];
    const gateway = '{ fallback: { main: [spare] } }';
    const run = await replayed(
      scenario(CALL, 8),
      liveDeployment({ main: [broken.url], spare: [good.url] }, gateway),
    );
    for (const attempts of byCall(run).values())
      expect(attempts.map(({ target, outcome, kind }) => [target, outcome, kind])).toEqual([
        ['main', 'error', 'first'],
        ['spare', 'ok', 'fallback'],
      ]);
    expect(run.calls.map(({ pool }) => pool)).toEqual(run.calls.map(() => 'spare'));
  });

  test('and to the live endpoint of a provider, whose tokens are paid for by what it counted', async () => {
    const [broken, good] = [await serving('error=100%'), await serving()];
    const provider = `
providers:
  vendor:
    endpoint: { url: ${good.url} }
    models: { frontier: { model: spare, price: { in: 1000, out: 2000 }, max_model_len: 100k } }`;
    const gateway = '{ fallback: { main: [frontier] }, budget: { usd: 0.06 } }';
    const run = await replayed(
      scenario(
        '[ { repeat: often, times: 5, steps: [ { llm: ask, adds: 10, out: 5, max_tokens: 5 } ] } ]'.replace(
          ', max_tokens: 5',
          '',
        ),
      ),
      liveDeployment({ main: [broken.url] }, gateway, provider),
    );
    const paid = run.governed.attempts.filter(({ outcome }) => outcome === 'ok');
    expect(paid.length).toBeGreaterThan(0);
    expect(paid.every(({ target, replica }) => target === 'frontier' && replica === null)).toBe(true);
    // 10 prompt tokens more with each call and the answers before: 10, 25, 40… at 0.001 USD, 5 at 0.002.
    const usd = paid.reduce((sum, each) => sum + (each.promptTokens + 2 * each.outputTokens) / 1000, 0);
    expect(usd).toBeLessThanOrEqual(0.06);
    expect(run.workflows[0]).toMatchObject({ status: 'cancelled', error: 'budget_usd' });
    expect(decided(run, 'budget')).toEqual(['stop']);
  });

  test('a breaker opens after so many real failures, and nothing more is sent', async () => {
    const { url } = await serving('error=100%');
    const gateway = '{ breaker: { failures: 3, open: 1m } }';
    const run = await replayed(scenario(CALL, 10, '', ONE_BY_ONE), liveDeployment({ main: [url] }, gateway));
    expect(run.governed.attempts).toHaveLength(3);
    expect(run.calls.map(({ error }) => error)).toEqual([
      ...Array.from({ length: 3 }, () => 'http_500'),
      ...Array.from({ length: 7 }, () => 'breaker_open'),
    ]);
    expect(decided(run, 'breaker')).toEqual(['opened', ...Array.from({ length: 7 }, () => 'refused')]);
  });
});

describe('servers that are slow', () => {
  test('a copy goes elsewhere, the faster answer counts, the other one is torn down', async () => {
    const [slow, fast] = [await serving('slow_start=3s'), await serving()];
    const gateway = '{ hedge: { after: 100ms } }';
    const run = await replayed(scenario(CALL), liveDeployment({ main: [slow.url, fast.url] }, gateway));
    const [lost, won] = [...run.governed.attempts].sort((a, b) => a.attempt - b.attempt);
    expect(lost).toMatchObject({ replica: 'main/0', outcome: 'cancelled', waste: 'hedged' });
    expect(won).toMatchObject({ replica: 'main/1', outcome: 'ok', kind: 'hedge', waste: null });
    expect(won!.sentMs! - lost!.sentMs!).toBeGreaterThanOrEqual(99);
    expect(run.calls[0]).toMatchObject({ outcome: 'ok', replica: 'main/1' });
  });

  test('a stalled answer is given up in time, and the server hears of it', async () => {
    const { url } = await serving('stall=100%');
    const gateway =
      '{ timeout: { attempt: 250ms }, retry: { max: 1, backoff: 1ms..2ms, errors: [timeout], blind: true } }';
    const run = await replayed(
      scenario('[ { llm: ask, adds: 20, out: 5000 } ]', 2),
      liveDeployment({ main: [url] }, gateway),
    );
    expect(run.governed.attempts).toHaveLength(4);
    for (const { outcome, waste, wantedMs, endMs } of run.governed.attempts) {
      expect([outcome, waste]).toEqual(['cancelled', 'timed_out']);
      expect(endMs! - wantedMs).toBeGreaterThanOrEqual(249);
    }
    expect(run.calls.map(({ error }) => error)).toEqual(['timeout', 'timeout']);
  });
});

describe('a session that ends before its time', () => {
  const FAN =
    '[ { map: fan, over: 4, steps: [ { llm: ask, adds: 20, out: 4000 } ] }, { llm: sum, adds: 5, out: 5 } ]';

  test('takes all of its calls along when its user leaves', async () => {
    const { url } = await serving();
    const run = await replayed(scenario(FAN, 3, 'cancel: { after: 300ms }'), liveDeployment({ main: [url] }));
    expect(run.workflows.map(({ status, error }) => [status, error])).toEqual(
      run.workflows.map(() => ['cancelled', 'user_left']),
    );
    expect(run.governed.attempts).toHaveLength(12);
    for (const { outcome, waste, outputTokens, cancelledTokens } of run.governed.attempts) {
      expect([outcome, waste]).toEqual(['cancelled', 'cancelled']);
      expect(cancelledTokens).toBe(outputTokens);
    }
    for (const { reason, calls, atMs, cleanMs } of run.governed.cancels) {
      expect([reason, calls]).toEqual(['user_left', 4]);
      expect(cleanMs - atMs).toBeLessThan(1000);
    }
    expect(run.governed.cancels).toHaveLength(3);
  });

  test('without propagation its calls run to their end, and what came after is counted', async () => {
    const { url } = await serving();
    const run = await replayed(
      scenario(FAN.replace('4000', '150'), 1, 'cancel: { after: 150ms }'),
      liveDeployment({ main: [url] }, '{ propagate_cancel: false }'),
    );
    expect(
      run.governed.attempts.map(({ outcome, outputTokens, waste }) => [outcome, outputTokens, waste]),
    ).toEqual(Array.from({ length: 4 }, () => ['ok', 150, 'after_cancel']));
    const [cancel] = run.governed.cancels;
    expect(cancel!.tokensAfter).toBeGreaterThan(4 * 50);
    expect(cancel!.cleanMs - cancel!.atMs).toBeGreaterThan(150);
    expect(run.durationMs).toBeGreaterThanOrEqual(cancel!.cleanMs);
  });

  test.each([true, false])(
    'Ctrl-C gives up everything, with propagation (%s) or without',
    async propagates => {
      const { url } = await serving();
      const run = await replayed(
        scenario(FAN, 3),
        liveDeployment({ main: [url] }, `{ propagate_cancel: ${propagates}, retry: { max: 3 } }`),
        {
          during: async replay => {
            await expect.poll(() => replay.progress.callsInFlight).toBe(12);
            await new Promise(resolve => setTimeout(resolve, 100));
            replay.interrupt();
          },
        },
      );
      expect(run.interrupted).toBe(true);
      expect(run.calls.map(({ outcome }) => outcome)).toEqual(run.calls.map(() => 'unfinished'));
      expect(run.workflows.map(({ status }) => status)).toEqual(['unfinished', 'unfinished', 'unfinished']);
      expect(run.governed.attempts).toHaveLength(12);
    },
  );
});

test('a session that asks for it stays with the replica that answered it last', async () => {
  const [one, two] = [await serving(), await serving()];
  const steps = (hints: string) =>
    `[ { repeat: often, times: 4, steps: [ { llm: ask, adds: 20, out: 3${hints} } ] } ]`;
  const spread = async (hints: string): Promise<number[]> => {
    const text = scenario(steps(hints), 4, 'budget: { llm_calls: 50 }');
    const run = await replayed(text, liveDeployment({ main: [one.url, two.url] }, '', 'routing: random'));
    const bySession = Map.groupBy(run.calls, ({ session }) => session);
    return [...bySession.values()].map(calls => new Set(calls.map(({ replica }) => replica)).size);
  };
  expect(await spread(', hints: { session_affinity: true }')).toEqual([1, 1, 1, 1]);
  expect(Math.max(...(await spread('')))).toBe(2);
});

describe('budgets', () => {
  test('are settled by what the server counted, and never passed by more than one call', async () => {
    const { url } = await serving();
    const run = await replayed(
      scenario(
        '[ { repeat: often, times: 20, steps: [ { llm: ask, context: fresh, adds: 50, out: 50 } ] } ]',
        4,
        'budget: { tokens: 500 }',
      ),
      liveDeployment({ main: [url] }),
    );
    for (const { session, status, error } of run.workflows) {
      expect([status, error]).toEqual(['cancelled', 'budget_tokens']);
      const own = run.governed.attempts.filter(each => each.session === session);
      // What is claimed of an answer is what its step allows, which all of them use: five calls of 100 tokens fit.
      expect(own.map(each => each.promptTokens + each.outputTokens)).toEqual([100, 100, 100, 100, 100]);
    }
  });
});
