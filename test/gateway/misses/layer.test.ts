// Why caches missed: cases worked out by hand, a token-by-token second opinion, and what the engines really did.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { recordLines } from '../../../reports/digest.ts';
import type { Plan } from '../../../scenarios/formats/plan.ts';
import { planOf, randomSteps, workflowText } from '../../builders/scenarios.ts';
import { DEPLOYMENT, simulated } from '../../builders/worlds.ts';
import { allowed, byReason, type Explained, explained, lines, sequencesOf } from './build.ts';

const STEP = 'model: affine, base: 8ms, per_token: 80us, per_sequence: 90us, per_context_token: 20ns';
const ROOMY = DEPLOYMENT();
const TWO = DEPLOYMENT('', STEP, 2);
/** As many blocks as a window has: 1,024 tokens. */
const tight = (replicas: number, engine = 'vllm'): string =>
  DEPLOYMENT('', STEP, replicas)
    .replace(
      'max_model_len: 65536, kv_blocks: 65536',
      // SGLang's are single tokens.
      `max_model_len: 1024, kv_blocks: ${engine === 'sglang' ? 1024 : 64}`,
    )
    .replace('    limits:', `    engine: ${engine}\n    limits:`);
const onEngine = (engine: string): string =>
  ROOMY.replace('    limits:', `    engine: ${engine}\n    limits:`);

const plan = (steps: string, { sessions = 1, every = '' } = {}): Plan => {
  const text = workflowText(`[ ${steps} ]`, '', sessions);
  return planOf(every === '' ? text : text.replace('at_once: true', `constant: { rate: ${every} }`));
};

const sessionOf = ({ run }: Explained, n: number): string =>
  [...run.workflows].sort((a, b) => a.plannedMs - b.plannedMs || (a.session < b.session ? -1 : 1))[n]!
    .session;

/** Of the call at a path of the n-th session. */
const missesOf = (of: Explained, path: string, n = 0): string[] => {
  const session = sessionOf(of, n);
  const call = of.run.calls.find(each => each.call === path && each.session === session);
  if (call === undefined)
    throw new Error(`no ${path}, only ${of.run.calls.map(each => each.call).join(', ')}`);
  return lines(call.misses);
};

describe('by hand', () => {
  test('a first prompt is new part by part, the next of its thread misses what is new and less than a block', () => {
    const of = explained(
      plan('{ llm: a, prefix: [system], adds: 20, out: 10 }, { llm: b, adds: 30, out: 4 }'),
      ROOMY,
    );
    expect(missesOf(of, 'a')).toEqual(['new 100 system', 'new 20 input']);
    // 120 + 9 tokens were computed, 8 blocks of 16; the tenth token of the answer was never read.
    expect(missesOf(of, 'b')).toEqual(['partial 1 history', 'new 1 history', 'new 30 input']);
  });

  test('a prompt that is known to its end misses its last block, or its last token', () => {
    const twice = (tokens: number): Explained =>
      explained(
        planOf(
          workflowText('[ { llm: a, prefix: [system], out: 1 } ]', '', 2)
            .replace('at_once: true', 'constant: { rate: 1/s }')
            .replace('tokens: 100', `tokens: ${tokens}`),
        ),
        ROOMY,
      );
    expect(missesOf(twice(100), 'a', 1)).toEqual(['partial 4 system']);
    // 6 whole blocks, of which the last is computed again for its last token.
    expect(missesOf(twice(96), 'a', 1)).toEqual(['partial 16 system']);
  });

  test('history behind a segment that was put in front of it is changed, and the segment is named', () => {
    const of = explained(
      plan(
        '{ llm: a, prefix: [system], adds: 64, out: 17 }, { repeat: turn, times: 1, steps: [ { llm: b, prefix: [system, mine], adds: 10, out: 3 } ] }',
      ),
      ROOMY,
    );
    expect(missesOf(of, 'turn[0]/b')).toEqual([
      'partial 4 system',
      'new 50 mine',
      'changed 80 mine (pass 1)', // 64 of a's prompt, 16 of its answer
      'new 1 history',
      'new 10 input',
    ]);
  });

  test('an answer that goes on without its reasoning is changed by that', () => {
    const of = explained(
      plan('{ llm: a, prefix: [system], adds: 12, out: 30, reasoning: 20 }, { llm: b, adds: 10, out: 3 }'),
      ROOMY,
    );
    // 112 tokens are 7 whole blocks. 30 of `out` are visible, behind 20 of reasoning; the last was never read.
    expect(missesOf(of, 'b')).toEqual([
      'changed 29 history (an answer without its reasoning)',
      'new 1 history',
      'new 10 input',
    ]);
  });

  test('an answer that another step reads is new there', () => {
    const of = explained(
      plan(
        '{ parallel: p, branches: [ [ { llm: a, adds: 40, out: 33 } ] ] }, { llm: b, reads: [a], adds: 8, out: 3 }',
      ),
      ROOMY,
    );
    expect(missesOf(of, 'b')).toEqual([
      'new 32 reads (the answer of another step)',
      'new 1 reads',
      'new 8 input',
    ]);
  });

  test('what another replica has is elsewhere, to its last whole block', () => {
    const of = explained(
      plan('{ llm: a, prefix: [system], adds: 20, out: 10 }', { sessions: 3, every: '1/s' }),
      TWO,
    );
    expect(missesOf(of, 'a', 1)).toEqual([
      'elsewhere 96 system (was on main/0)',
      'partial 4 system',
      'new 20 input',
    ]);
    expect(missesOf(of, 'a', 2)).toEqual(['partial 4 system', 'new 20 input']);
  });

  test('what two replicas compute at the same time is new to both, and the second says by whom', () => {
    const of = explained(plan('{ llm: a, prefix: [system], adds: 20, out: 10 }', { sessions: 2 }), TWO);
    const both = [missesOf(of, 'a', 0), missesOf(of, 'a', 1)];
    expect(both[0]).toEqual(['new 100 system', 'new 20 input']);
    expect(both[1]).toEqual([
      `new 100 system (computed at the same time by ${sessionOf(of, 0)} a)`,
      'new 20 input',
    ]);
  });

  test('what had to make room is evicted', () => {
    // 50 blocks each, of which 6 are shared: the second session takes the last 30 of the first.
    const of = explained(
      plan('{ llm: a, prefix: [system], adds: 700, out: 1 }, { wait: 10s }, { llm: b, adds: 10, out: 1 }', {
        sessions: 2,
        every: '0.2/s',
      }),
      tight(1),
    );
    expect(missesOf(of, 'b')).toEqual(['evicted 480 history', 'new 1 history', 'new 10 input']);
  });

  test('what is found and computed by nobody, since a session goes on warm, needs no reason', () => {
    const of = explained(plan('{ llm: a, prefix: [system], adds: 20, out: 10 }'), ROOMY);
    const [{ request, result }] = of.seen as [(typeof of.seen)[0]];
    expect(request.call.warmTokens).toBe(0);
    expect(result.cachedTokens).toBe(0);
    expect(byReason(of)).toEqual({ new: 120 });
  });

  test('where nothing is kept, only what is new is new', () => {
    const of = explained(
      plan('{ llm: a, prefix: [system], adds: 20, out: 10 }, { llm: b, adds: 30, out: 4 }'),
      DEPLOYMENT('enable_prefix_caching: false'),
    );
    expect(missesOf(of, 'b')).toEqual(['off 100 system', 'off 29 history', 'new 1 history', 'new 30 input']);
  });
});

const API = (cache: string): string => `
windtunnel: 1
deployment: api
providers:
  vendor:
    models: { m: { model: claude-opus-5-5, latency: { ttft: 500ms, tpot: 10ms } } }
    cache: ${cache}
routing: round-robin
`;
const asked = (system: number, pause: string): Plan =>
  planOf(
    workflowText(
      `[ { llm: a, prefix: [system], adds: 48, out: 10 }, { wait: ${pause} }, { llm: b, adds: 20, out: 3 } ]`,
    ).replace('tokens: 100', `tokens: ${system}`),
  );

describe('APIs', () => {
  test('find a prompt in steps of 128 tokens, and keep no answers', () => {
    const of = explained(asked(2050, '1s'), API('{ ttl: 5m, min_tokens: 1024 }'));
    expect(missesOf(of, 'b')).toEqual([
      'partial 2 system',
      'partial 48 history',
      'new 10 history',
      'new 20 input',
    ]);
  });

  test('forget after their time to live', () => {
    const of = explained(asked(2000, '10m'), API('{ ttl: 5m, min_tokens: 1024 }'));
    expect(missesOf(of, 'b')).toEqual([
      'expired 2000 system',
      'expired 48 history',
      'new 10 history',
      'new 20 input',
    ]);
  });

  test('do not keep short prompts', () => {
    const of = explained(asked(500, '1s'), API('{ ttl: 5m, min_tokens: 1024 }'));
    expect(missesOf(of, 'b')).toEqual([
      'partial 500 system',
      'partial 48 history',
      'new 10 history',
      'new 20 input',
    ]);
  });

  test('without a cache keep nothing', () => {
    const of = explained(asked(500, '1s'), API('off'));
    expect(missesOf(of, 'b')).toEqual(['off 500 system', 'off 48 history', 'new 10 history', 'new 20 input']);
  });
});

test('a model that the gateway puts in place of another has none of the context, and neither has the other of its', () => {
  const limits = '{ max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 2048, max_num_seqs: 64 }';
  const deployment = `
windtunnel: 1
deployment: two
pools:
  small: { model: ministral-3-14b, replicas: 1, limits: ${limits}, step: { ${STEP} } }
  large: { model: mistral-small-4, replicas: 1, limits: ${limits}, step: { ${STEP} } }
gateway: { choose: [ { complexity: high, use: large } ] }
`;
  const of = explained(
    plan(
      '{ llm: a, prefix: [system], adds: 28, out: 17 }, { llm: b, complexity: high, adds: 31, out: 17 }, { llm: c, adds: 10, out: 3 }',
    ),
    deployment,
  );
  // 128 + 16 tokens of 16 were computed on small/0.
  expect(missesOf(of, 'b')).toEqual([
    'invalidated 100 system (was on small/0)',
    'invalidated 44 history (was on small/0)',
    'new 1 history',
    'new 31 input',
  ]);
  // What b added was computed on large/0 alone: 144 to 176, and 16 of its answer.
  expect(missesOf(of, 'c')).toEqual([
    'invalidated 48 history (was on large/0)',
    'new 1 history',
    'new 10 input',
  ]);
});

/** Sums, and no empty or negative piece. */
function expectTiled({ run }: Explained): void {
  for (const { promptTokens, cachedTokens, misses, parts } of run.calls) {
    if (cachedTokens === null) {
      expect(misses).toBeUndefined();
      continue;
    }
    for (const { tokens, segment } of misses!) {
      expect(tokens).toBeGreaterThan(0);
      expect(parts.map(part => part.segment)).toContain(segment);
    }
    expect(misses!.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(promptTokens - cachedTokens);
  }
}

const SESSIONS = fc.integer({ min: 1, max: 4 });
const EVERY = fc.constantFrom('', '4/s', '0.5/s');

describe('laws', () => {
  test('the misses of a call add up to its prompt without what was found', () => {
    fc.assert(
      fc.property(
        randomSteps,
        SESSIONS,
        EVERY,
        fc.constantFrom(ROOMY, TWO, tight(1), tight(2), tight(2, 'sglang'), tight(1, 'tensorrt-llm')),
        (steps, sessions, every, deployment) => {
          expectTiled(explained(plan(steps.slice(1, -1), { sessions, every }), deployment));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('say what a search through everything that was computed before says, token by token', () => {
    fc.assert(
      fc.property(
        randomSteps,
        SESSIONS,
        EVERY,
        fc.constantFrom(TWO, tight(1), tight(2)),
        (steps, sessions, every, deployment) => {
          const of = explained(plan(steps.slice(1, -1), { sessions, every }), deployment);
          const sequences = sequencesOf(of.seen);
          for (const each of of.seen) {
            const { misses, firstTokenMs } = each.result;
            if (firstTokenMs === null || misses === undefined) continue;
            const said = misses.flatMap(({ reason, tokens }) => Array.from({ length: tokens }, () => reason));
            const may = allowed(each, sequences, 16);
            const wrong = said.findIndex((reason, i) => !may[i]!.includes(reason));
            expect({ path: each.request.path, wrong, said: said[wrong], may: may[wrong] }).toEqual({
              path: each.request.path,
              wrong: -1,
            });
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test.each(['vllm', 'sglang', 'tensorrt-llm'])(
    'one replica of %s that evicts nothing has no lost tokens',
    engine => {
      fc.assert(
        fc.property(randomSteps, SESSIONS, EVERY, (steps, sessions, every) => {
          const of = explained(plan(steps.slice(1, -1), { sessions, every }), onEngine(engine), {
            reference: true,
          });
          expect(of.evictedBlocks).toBe(0);
          const { evicted = 0, expired = 0, elsewhere = 0, invalidated = 0, off = 0 } = byReason(of);
          expect({ evicted, expired, elsewhere, invalidated, off }).toEqual({
            evicted: 0,
            expired: 0,
            elsewhere: 0,
            invalidated: 0,
            off: 0,
          });
        }),
        { numRuns: 25 },
      );
    },
  );

  test('tokens are evicted only where blocks are', () => {
    let runs = 0;
    fc.assert(
      fc.property(randomSteps, SESSIONS, EVERY, (steps, sessions, every) => {
        const of = explained(plan(steps.slice(1, -1), { sessions, every }), tight(1), { reference: true });
        const lost = byReason(of).evicted ?? 0;
        expect(lost).toBeLessThanOrEqual(of.evictedBlocks * 16 * of.run.calls.length);
        runs += lost > 0 ? 1 : 0;
      }),
      { numRuns: 40 },
    );
    expect(runs).toBeGreaterThan(0);
  });

  test('looking changes nothing of a run', () => {
    fc.assert(
      fc.property(randomSteps, SESSIONS, (steps, sessions) => {
        const same = plan(steps.slice(1, -1), { sessions });
        const told = (run: Explained['run']): string[] => [...recordLines(run)];
        expect(told(explained(same, tight(2)).run)).toEqual(told(simulated(same, tight(2))));
      }),
      { numRuns: 25 },
    );
  });
});

describe('long runs', () => {
  test('are looked at by whole sessions, the fewer the longer, and say so', () => {
    const chat = plan('{ llm: a, prefix: [system], adds: 20, out: 3 }, { llm: b, adds: 30, out: 3 }', {
      sessions: 200,
      every: '10/s',
    });
    const of = explained(chat, ROOMY, { callsMax: 40 });
    const known = of.run.calls.filter(({ misses }) => misses !== undefined);
    expect(known.length).toBeGreaterThan(40);
    expect(known.length).toBeLessThan(250);
    expect(of.warnings).toEqual([
      `why caches missed is known of ${known.length} of 400 calls: whole sessions, the fewer the longer the run`,
    ]);
    expect(explained(chat, ROOMY).warnings).toEqual([]);
  });

  test('sessions that share nothing are told apart where a live run keeps them apart', () => {
    const chat = plan('{ llm: a, prefix: [system], adds: 20, out: 3 }, { llm: b, adds: 30, out: 3 }', {
      sessions: 2,
      every: '1/s',
    });
    const session = explained(chat, TWO, { scope: 'session' });
    // The simulator found 96 tokens all the same; what is left is not said to be known.
    expect(missesOf(session, 'a', 1)).toEqual(['new 4 system', 'new 20 input']);
    expect(missesOf(explained(chat, TWO), 'a', 1)).toEqual(['partial 4 system', 'new 20 input']);
    expect(byReason(explained(chat, TWO, { scope: 'call' }))).toEqual({ new: expect.any(Number) });
  });
});
