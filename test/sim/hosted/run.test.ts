// Runs against hosted APIs: the burst of the job scanner at a tier of 500k input tokens a minute, left alone, tried again,
// and held back by a limit of ours.
import { describe, expect, test } from 'vitest';
import { ledgerOf } from '../../../gateway/ledger/ledger.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import { planOf } from '../../builders/scenarios.ts';
import { simulated } from '../../builders/worlds.ts';

const BURST = (retry = '', sessions = '1'): string => `
windtunnel: 1
name: burst
models: { big: { model: claude-opus-5-5 } }
workflows:
  scan:
    steps:
      - map: postings
        over: 345
        steps:
          - { llm: label, model: big, adds: 3000, out: 50${retry} }
traffic:
  - { workflow: scan, arrival: { at_once: true }, sessions: ${sessions} }
`;
const TIER = (gateway = '', more = ''): string => `
windtunnel: 1
deployment: api
providers:
  vendor:
    models: { big: { model: claude-opus-5-5, latency: { ttft: 500ms, tpot: 10ms } } }
    limits: { rpm: 1000, input_tpm: 500k }
    ${more}
${gateway}
routing: round-robin
`;
const PATIENT = ', retry: { max: 100, errors: [429, 5xx], backoff: 1s..8s }';

const burst = (retry: string, gateway: string): RunOutput => simulated(planOf(BURST(retry)), TIER(gateway));
function errors({ calls }: RunOutput): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { error } of calls) counts[error ?? 'ok'] = (counts[error ?? 'ok'] ?? 0) + 1;
  return counts;
}

describe('a burst of 345 calls of 3,000 tokens at 500k input tokens a minute', () => {
  test('left alone loses the 179 calls that the bucket does not hold, and with them the workflow', () => {
    const run = burst('', '');
    expect(errors(run)).toEqual({ http_429: 179, cancelled: 166 });
    expect(run.workflows.map(({ status, endMs }) => [status, endMs])).toEqual([['failed', 0]]);
  });

  test('tried again by Retry-After meets 429s for 64 s, thousands of them', () => {
    const run = burst(PATIENT, '');
    expect(errors(run)).toEqual({ ok: 345 });
    const refused = run.governed!.attempts.filter(({ error }) => error === 'http_429');
    expect(Math.max(...refused.map(({ endMs }) => endMs!))).toBe(64_000);
    expect(refused).toHaveLength(5843);
    // The last go at 65 s: 500 ms to the first token, 49 more of 10 ms.
    expect(run.durationMs).toBe(65_990);
  });

  test('behind the same limit of ours waits as long and meets none', () => {
    const run = burst('', 'gateway:\n  rate_limits: [{ input_tpm: 500k, max_wait: 10m }]');
    expect(errors(run)).toEqual({ ok: 345 });
    expect(run.governed!.attempts.filter(({ error }) => error !== null)).toEqual([]);
    expect(run.durationMs).toBe(65_190);
  });
});

test('the same seed gives the same bytes, with failures, outages and a cache', () => {
  const more =
    'fail: 5%\n    outages: [{ rate: 0.05/s, for: { dist: exponential, mean: 2s }, share: 50%, slowdown: 2 }]';
  const run = () => simulated(planOf(BURST(PATIENT, '2')), TIER('', more));
  const [first, second] = [run(), run()];
  expect(second).toEqual(first);
  expect(first.governed!.attempts.some(({ error }) => error === 'http_503')).toBe(true);
  expect(first.governed!.attempts.some(({ error }) => error === 'http_500')).toBe(true);
});

test('calls are billed where a deployment has no gateway, too', () => {
  const run = burst('', '');
  const price = () => ({ in: 4, cachedIn: 0.2, cacheWrite: 5, out: 20 });
  // The 166 that went were given up before their first token: 3,000 tokens at 4 USD a million each.
  expect(ledgerOf(run, { rates: new Map(), price }).totalNanos).toBe(166 * 3000 * 4000);
});
