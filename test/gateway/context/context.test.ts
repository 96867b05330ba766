// Stable prefixes and what servers are told of them: equal content has equal keys, and each server its own fields.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PrefixOf, prefixOf } from '../../../gateway/context/prefix-keys.ts';
import {
  agentHints,
  cacheControl,
  kvCacheRetention,
  sessionHeaders,
  tritonRetention,
  vllmFields,
} from '../../../gateway/context/server-hints.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import type { Retention, Run } from '../../../scenarios/formats/prompt.ts';

interface Part {
  segment: string;
  tokens: number;
  /** Of what content; by default named as its segment. */
  content?: string;
  priority?: number;
  durationMs?: number | null;
}
/** A call whose prompt is made of these parts, as the compiler makes it. */
function call(parts: readonly Part[]): PrefixOf {
  const prompt: Run[] = [];
  const retention: Retention[] = [];
  let at = 0;
  for (const { segment, tokens, content = segment, priority, durationMs = null } of parts) {
    prompt.push({ key: textKey(content), from: 0, tokens });
    if (priority !== undefined) retention.push({ fromToken: at, toToken: at + tokens, priority, durationMs });
    at += tokens;
  }
  return {
    prompt,
    parts: parts.map(({ segment, tokens }) => ({ segment, tokens })),
    retention: retention.length === 0 ? undefined : retention,
  };
}
const SYSTEM = { segment: 'system', tokens: 2800, priority: 80 };
const TOOLS = { segment: 'tools', tokens: 2500, priority: 80 };
const MEMORY = { segment: 'memory', tokens: 800, priority: 35 };
const HISTORY = { segment: 'history', tokens: 4000 };
const INPUT = { segment: 'input', tokens: 500 };

describe('the stable prefix', () => {
  test('ends with the last durable part', () => {
    const prefix = prefixOf(call([SYSTEM, TOOLS, MEMORY, HISTORY, INPUT]));
    expect(prefix.tokens).toBe(5300);
    expect(prefix.hints.map(({ segment, worth, toToken }) => [segment, worth, toToken])).toEqual([
      ['system', 'durable', 2800],
      ['tools', 'durable', 5300],
      ['memory', 'session', 6100],
      ['history', 'session', 10_100],
      ['input', 'session', 10_600],
    ]);
  });

  test('where nothing is said of any part, it ends before history, reads and input', () => {
    const plain = ({ segment, tokens }: Part) => ({ segment, tokens });
    expect(prefixOf(call([SYSTEM, TOOLS, HISTORY, INPUT].map(plain))).tokens).toBe(5300);
    expect(prefixOf(call([HISTORY, INPUT])).tokens).toBe(0);
    expect(prefixOf(call([SYSTEM].map(plain))).tokens).toBe(2800);
  });

  test('has nothing where what is said makes nothing durable', () => {
    const none = prefixOf(call([{ ...SYSTEM, priority: 10 }, HISTORY]));
    expect(none.tokens).toBe(0);
    expect(none.key).toEqual(prefixOf(call([HISTORY])).key);
  });

  test('has one key for what sessions share, whatever comes behind it', () => {
    const of = (parts: Part[]) => prefixOf(call(parts)).key;
    const key = of([SYSTEM, TOOLS, HISTORY]);
    expect(of([SYSTEM, TOOLS, MEMORY, { ...INPUT, content: 'another' }])).toEqual(key);
    expect(of([TOOLS, SYSTEM, HISTORY])).not.toEqual(key);
    expect(of([SYSTEM, { ...TOOLS, content: 'others' }, HISTORY])).not.toEqual(key);
    expect(of([SYSTEM, { ...TOOLS, tokens: 2501 }, HISTORY])).not.toEqual(key);
  });

  test('law: its key does not depend on how the runs were cut', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5299 }), cut => {
        const whole = call([SYSTEM, TOOLS, HISTORY]);
        let left = cut;
        const prompt = whole.prompt.flatMap(run => {
          const head = Math.min(left, run.tokens);
          left -= head;
          if (head === 0 || head === run.tokens) return [run];
          return [
            { ...run, tokens: head },
            { ...run, from: head, tokens: run.tokens - head },
          ];
        });
        expect(prefixOf({ ...whole, prompt }).key).toEqual(prefixOf(whole).key);
      }),
    );
  });

  test('is computed once per prompt', () => {
    const first = call([SYSTEM, HISTORY]);
    expect(prefixOf({ ...first })).toBe(prefixOf(first));
  });
});

describe('cache_control', () => {
  const at = (parts: Part[], options?: Parameters<typeof cacheControl>[1]) =>
    cacheControl(prefixOf(call(parts)), options).map(({ part, cache_control }) => [part, cache_control.ttl]);

  test('stands behind what is durable and behind what the session needs, not behind what is ephemeral', () => {
    const scratch = { segment: 'scratch', tokens: 300, priority: 10 };
    expect(at([SYSTEM, TOOLS, MEMORY, HISTORY, scratch])).toEqual([
      [1, '5m'],
      [3, '5m'],
    ]);
    expect(cacheControl(prefixOf(call([SYSTEM])))).toEqual([
      { part: 0, atToken: 2800, cache_control: { type: 'ephemeral', ttl: '5m' } },
    ]);
  });

  test('what lives longer than 5 minutes has 1h, and so has all in front of it', () => {
    const hour = 3_600_000;
    expect(at([{ ...SYSTEM, durationMs: hour }, HISTORY])).toEqual([
      [0, '1h'],
      [1, '5m'],
    ]);
    expect(at([SYSTEM, { ...MEMORY, durationMs: hour }, HISTORY])).toEqual([
      [0, '1h'],
      [1, '1h'],
      [2, '5m'],
    ]);
    expect(at([SYSTEM, HISTORY], { cacheTtlMs: hour })).toEqual([
      [0, '1h'],
      [1, '1h'],
    ]);
  });

  test('a prefix that is too short is left out', () => {
    expect(at([{ ...SYSTEM, tokens: 1000 }, INPUT])).toEqual([[1, '5m']]);
    expect(at([{ ...SYSTEM, tokens: 1000 }, INPUT], { minTokens: 4096 })).toEqual([]);
  });

  test('law: at most four, in order, behind no ephemeral part, the TTL never growing', () => {
    const part = fc.record({
      segment: fc.constantFrom('a', 'b', 'history'),
      tokens: fc.integer({ min: 1, max: 4000 }),
      priority: fc.constantFrom(10, 35, 80),
      durationMs: fc.constantFrom(null, 60_000, 3_600_000),
    });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 12 }), parts => {
        const { hints } = prefixOf(call(parts));
        const points = cacheControl({ hints });
        expect(points.length).toBeLessThanOrEqual(4);
        points.forEach((point, i) => {
          const hint = hints[point.part]!;
          expect(hint.worth).not.toBe('ephemeral');
          expect(point.atToken).toBe(hint.toToken);
          expect(point.atToken).toBeGreaterThanOrEqual(1024);
          const next = points[i + 1];
          if (next === undefined) return;
          expect(next.part).toBeGreaterThan(point.part);
          if (next.cache_control.ttl === '1h') expect(point.cache_control.ttl).toBe('1h');
        });
        // All that is worth caching lies within the last one.
        const worthy = hints.findLast(({ worth, toToken }) => worth !== 'ephemeral' && toToken >= 1024);
        expect(points.at(-1)?.atToken).toBe(worthy?.toToken);
      }),
    );
  });
});

describe('fields of servers', () => {
  test('Dynamo: priority and expected length, or nothing', () => {
    expect(agentHints({ priority: 5, expectedTokens: 199.6 })).toEqual({
      nvext: { agent_hints: { priority: 5, osl: 200 } },
    });
    expect(agentHints({ priority: null, expectedTokens: 0.2 })).toEqual({
      nvext: { agent_hints: { osl: 1 } },
    });
    expect(agentHints({ priority: null, expectedTokens: null })).toEqual({});
    expect(sessionHeaders('chat/3')).toEqual({ 'x-dynamo-session-id': 'chat/3' });
    expect(sessionHeaders('chat/3/sub', 'chat/3')).toMatchObject({
      'x-dynamo-parent-session-id': 'chat/3',
    });
  });

  test('vLLM: lower goes first there, 0 and an empty salt are not sent', () => {
    expect(vllmFields({ priority: 5, cacheSalt: 'acme' })).toEqual({ priority: -5, cache_salt: 'acme' });
    expect(vllmFields({ priority: 0, cacheSalt: '' })).toEqual({});
    expect(vllmFields({ priority: null, cacheSalt: null })).toEqual({});
  });

  test('TensorRT-LLM: stretches of equal worth are one range; nothing where all is as by default', () => {
    const prefix = prefixOf(call([SYSTEM, TOOLS, { ...MEMORY, durationMs: 30_000 }, HISTORY]));
    const retention = kvCacheRetention(prefix, 'ephemeral')!;
    expect(retention).toEqual({
      token_range_retention_configs: [
        { token_start: 0, token_end: 5300, priority: 80, duration_ms: null },
        { token_start: 5300, token_end: 6100, priority: 35, duration_ms: 30_000 },
        { token_start: 6100, token_end: 10_100, priority: 35, duration_ms: null },
      ],
      decode_retention_priority: 10,
      decode_duration_ms: null,
    });
    expect(tritonRetention(retention)).toEqual({
      retention_token_range_starts: [0, 5300, 6100],
      retention_token_range_ends: [5300, 6100, 10_100],
      retention_token_range_priorities: [80, 35, 35],
      retention_token_range_durations_ms: [-1, 30_000, -1],
      retention_decode_priority: 10,
    });
    expect(kvCacheRetention(prefixOf(call([HISTORY, INPUT])))).toBeNull();
  });
});
