// What files write of retries, breakers, limits and budgets, read into rules: units, presets, defaults; no key is ignored.
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import type { Issue } from '../../scenarios/base/issue.ts';
import { breaker, budget, rateLimit, retry, timeout } from '../../scenarios/formats/policies.ts';
import { BREAKER_PRESETS } from '../../scenarios/formats/presets/breakers.ts';
import { LIMIT_PRESETS } from '../../scenarios/formats/presets/limits.ts';
import { RETRY_PRESETS } from '../../scenarios/formats/presets/retries.ts';
import {
  checkAttempts,
  type Place,
  readBreaker,
  readBudget,
  readConsent,
  readLimit,
  readRetry,
  readTimeout,
} from '../../scenarios/formats/read-rules.ts';

/** What a reader makes of a text that its schema accepts, and what it tells. */
function read<S extends z.ZodType, R>(
  schema: S,
  reader: (raw: z.infer<S>, place: Place) => R,
  raw: unknown,
): { rule: R; codes: string[] } {
  const issues: Issue[] = [];
  const rule = reader(schema.parse(raw), { path: ['here'], issues });
  return { rule, codes: issues.map(each => each.code) };
}

const READERS = {
  retry: (raw: unknown) => read(retry, readRetry, raw),
  breaker: (raw: unknown) => read(breaker, readBreaker, raw),
  limit: (raw: unknown) => read(rateLimit, readLimit, raw),
  budget: (raw: unknown) => read(budget, readBudget, raw),
};

describe('presets', () => {
  test.each([
    ['retry', RETRY_PRESETS],
    ['breaker', BREAKER_PRESETS],
    ['limit', LIMIT_PRESETS],
  ] as const)('of a %s: the name alone, and the same as a start', (kind, presets) => {
    for (const [name, rule] of Object.entries(presets)) {
      expect(READERS[kind](name)).toEqual({ rule, codes: [] });
      expect(READERS[kind]({ preset: name })).toEqual({ rule, codes: [] });
    }
  });

  test('can be given other values, key by key', () => {
    expect(READERS.retry({ preset: 'openai', max: 3 }).rule).toEqual({ ...RETRY_PRESETS.openai, max: 3 });
    expect(READERS.limit({ preset: 'anthropic-start', rpm: 60 }).rule).toEqual({
      ...LIMIT_PRESETS['anthropic-start'],
      rpm: 60,
    });
    expect(READERS.breaker({ preset: 'hystrix', failures: 3 }).rule).toEqual({
      ...BREAKER_PRESETS.hystrix,
      inARow: 3,
      share: null,
    });
  });

  test('have the figures of their sources (policies.md 4.1 to 4.3)', () => {
    expect(RETRY_PRESETS.openai).toMatchObject({ max: 2, baseMs: 500, capMs: 8000, jitter: { minus: 0.25 } });
    expect(RETRY_PRESETS['envoy-ai-gateway']).toMatchObject({ max: 5, baseMs: 100, capMs: 10_000 });
    expect(RETRY_PRESETS.envoy.capMs).toBe(10 * RETRY_PRESETS.envoy.baseMs);
    expect(LIMIT_PRESETS['anthropic-start']).toMatchObject({ rpm: 1000, inputTpm: 5e5, outputTpm: 1e5 });
    expect(LIMIT_PRESETS['gemini-tier-1'].spend).toEqual({ usd: 10, windowMs: 600_000 });
    expect(BREAKER_PRESETS.sglang).toMatchObject({ inARow: 10, openMs: 60_000, trials: 3 });
  });
});

describe('every key that a file may write changes the rule', () => {
  const CHANGES = {
    retry: {
      preset: 'aws',
      max: 9,
      errors: [429],
      backoff: '3s..9s',
      factor: 3,
      jitter: 'equal',
      retry_after: false,
      retry_after_max: '7s',
      budget: '20%',
      budget_min: 1,
      blind: true,
    },
    breaker: {
      preset: 'resilience4j',
      failures: '40%',
      window: '9s',
      window_calls: 30,
      min_calls: 9,
      open: '9s',
      half_open: 4,
      errors: ['429'],
      slow: '3s',
      slow_share: '60%',
      grows: true,
      eject: '20%',
    },
    limit: {
      preset: 'anthropic-tier-1',
      rpm: 7,
      tpm: '7k',
      input_tpm: '7k',
      output_tpm: '7k',
      concurrency: 7,
      usd: { amount: 7, per: '10m' },
      accounting: 'charge_after',
      fraction: '50%',
      burst: '1s',
      cached_counts: false,
      retry_after: false,
    },
    budget: {
      input_tokens: '7k',
      output_tokens: '7k',
      tokens: '7k',
      llm_calls: 7,
      tool_calls: 7,
      wall: '7s',
      usd: 7,
      per: '1h',
      soft: '80%',
      save: { model: 'small', output_tokens: 100 },
      on_exceed: 'degrade',
      overdraw: '50%',
    },
  } as const;
  const BASE = {
    retry: {},
    breaker: { failures: 5, open: '30s' },
    limit: {},
    budget: { tokens: '1M' },
  } as const;
  const objectOf = { retry, breaker, limit: rateLimit, budget } as const;

  test.each(Object.keys(CHANGES) as (keyof typeof CHANGES)[])('of a %s', kind => {
    const schema = objectOf[kind];
    const object = 'options' in schema ? schema.options[1] : schema;
    expect(Object.keys(CHANGES[kind]).sort()).toEqual(Object.keys(object.shape).sort());
    const base = READERS[kind](BASE[kind]);
    expect(base.codes).toEqual([]);
    for (const [key, value] of Object.entries(CHANGES[kind])) {
      const changed = READERS[kind]({ ...BASE[kind], [key]: value });
      expect(changed.codes, key).toEqual([]);
      expect(changed.rule, key).not.toEqual(base.rule);
    }
  });
});

describe('what cannot be read is told', () => {
  test.each([
    ['retry', { backoff: '9s..1s' }, 'WT1005'],
    ['retry', { backoff: '1x..2s' }, 'WT1006'],
    ['breaker', { failures: '140%', open: '1s' }, 'WT1006'],
    ['breaker', { open: '1s' }, 'WT1004'],
    ['breaker', { failures: 2, open: '1s', window: '1s', window_calls: 3 }, 'WT1005'],
    ['limit', { burst: '2m' }, 'WT1005'],
    ['budget', { soft: '80%' }, 'WT1004'],
  ] as const)('of a %s: %j', (kind, raw, code) => {
    expect(READERS[kind](raw).codes).toContain(code);
  });
});

describe('attempts and their total', () => {
  const codes = (given: unknown, tried: unknown): string[] => {
    const issues: Issue[] = [];
    const place = { path: ['step'], issues };
    checkAttempts(
      readTimeout(given === null ? undefined : timeout.parse(given), place),
      readRetry(tried === null ? undefined : retry.parse(tried), place),
      place,
    );
    return issues.map(each => `${each.code} ${each.path.join('.')}`);
  };

  test('contradict each other where nothing fits', () => {
    expect(codes({ attempt: '10s', total: '5s' }, null)).toEqual(['WT1403 step.timeout']);
    expect(codes({ total: '5s' }, { backoff: '10s..20s' })).toEqual(['WT1403 step.retry']);
    expect(codes(null, { max: 0, budget: '20%' })).toEqual(['WT1405 step.retry']);
    expect(codes(null, { max: 2, budget: 0, budget_min: 0 })).toEqual(['WT1405 step.retry']);
  });

  test('agree where they fit, to the millisecond', () => {
    expect(codes({ attempt: '5s', total: '5s' }, { backoff: '5s..20s' })).toEqual([]);
    expect(codes({ attempt: '10s' }, { max: 0 })).toEqual([]);
    expect(codes({ total: '1s' }, { max: 0, backoff: '2s' })).toEqual([]);
  });
});

test('one duration is of one attempt; consent takes as long as people do', () => {
  expect(read(timeout, readTimeout, '5s').rule).toEqual({ attemptMs: 5000, ttftMs: null, totalMs: null });
  const place = { path: [], issues: [] };
  expect(readConsent(true, place)).toMatchObject({
    consentMs: { of: { kind: 'lognormal', median: 20_000 } },
    refusesRatio: 0,
  });
  expect(readConsent(false, place)).toEqual({ consentMs: null, refusesRatio: 0 });
  expect(readConsent({ wait: '3s', refuses: '5%' }, place).refusesRatio).toBe(0.05);
});
