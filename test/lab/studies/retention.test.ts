// The study of retention: laws of tiny runs of its cases, and of its judgement.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { CaseResult } from '../../../lab/grid/case.ts';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/retention.ts';
import type { RunFigures } from '../../../scenarios/formats/grid.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: false });
type At = (typeof CASES)[number]['at'];

const runner = new CaseRunner();
/** A case with so many sessions. */
async function runOf(where: Omit<At, 'seed'>, sessions: number): Promise<CaseResult> {
  const { of } = CASES.find(
    ({ at }) =>
      at.seed === 1 &&
      at.part === where.part &&
      at.world === where.world &&
      at.policy === where.policy &&
      at.x === where.x,
  )!;
  const { scenario, ...rest } = of;
  const set = [...(scenario.options.set ?? []), `traffic.0.sessions=${sessions}`];
  const outcome = await runner.run({ ...rest, scenario: { ...scenario, options: { seed: 1, set } } });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome;
}

describe('agents under KV pressure', async () => {
  const at = (policy: string) => runOf({ part: 'pressure', world: 'spare', policy, x: 3 }, 14);
  const lru = await at('lru');
  const labelled = await at('durable');
  const hits = ({ segments }: CaseResult, name: string): number => {
    const { cachedTokens, promptTokens } = segments![name]!;
    return cachedTokens / promptTokens;
  };

  test('parts of prompts add up to the prompts, and their hits to the hits', () => {
    for (const { segments, figures } of [lru, labelled]) {
      const parts = Object.values(segments!);
      const cached = parts.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0);
      expect(parts.reduce((sum, { promptTokens }) => sum + promptTokens, 0)).toBe(figures.promptTokens);
      expect(cached / figures.promptTokens).toBeCloseTo(figures.hitRatio!, 10);
    }
  });

  test('all agents meet the same prompts; labels keep instructions, and pages are never found again', () => {
    expect(labelled.figures.promptTokens).toBe(lru.figures.promptTokens);
    expect(hits(labelled, 'playbook')).toBeGreaterThan(hits(lru, 'playbook'));
    expect(hits(labelled, 'page')).toBeLessThan(0.01);
  });
});

test('one time to live for all is LRU, call by call', async () => {
  const at = (policy: string) => runOf({ part: 'gaps', world: 'slow', policy, x: 12 }, 40);
  const { figures, segments } = await at('lru');
  for (const policy of ['ttl 2 s', 'ttl 60 s']) expect(await at(policy)).toMatchObject({ figures, segments });
});

test('a tier below its break-even is never read, and one above computes less', async () => {
  const at = (x: number) => runOf({ part: 'tier', world: 'llama-3.1-8b', policy: 'lru', x }, 6);
  const [none, slow, fast] = [await at(0), await at(1), await at(100)];
  expect(slow.figures.computedTokens).toBe(none.figures.computedTokens);
  expect(fast.figures.computedTokens).toBeLessThan(none.figures.computedTokens);
  expect(fast.figures.ttftMsMean).toBeLessThan(none.figures.ttftMsMean!);
});

describe('judgement', () => {
  const judged = (world: (at: At) => Partial<RunFigures>) =>
    study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf(world(at)) }))).claims;
  const verdicts = (claims: ReturnType<typeof judged>) =>
    Object.fromEntries(claims.map(({ text, verdict }) => [text.slice(0, 22), verdict]));

  test('a world where nothing matters contradicts every gain', () => {
    const claims = judged(() => ({}));
    expect(new Set(claims.map(({ verdict }) => verdict))).toEqual(new Set(['contradicted']));
    expect(JSON.stringify(claims)).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('a world as it is told confirms what it says of policies', () => {
    const claims = judged(({ part, policy, x }) => {
      if (part === 'pressure') return { hitRatio: policy === 'priority' && x > 0.5 ? 0.61 : 0.5 };
      if (part === 'gaps' && policy.startsWith('ttl')) return { hitRatio: 0.3 + x / 1000 };
      if (part === 'gaps') return { makespanMsMean: policy.startsWith('continuum') ? 1000 : 1500 };
      if (part === 'crews') return { makespanMsMean: policy === 'kvflow, CPU tier' ? 1000 : 2200 };
      return {};
    });
    expect(verdicts(claims)).toMatchObject({
      'Eviction by priority b': 'confirmed',
      'Continuum finishes job': 'confirmed',
      'It is the time to live': 'confirmed',
      'KVFlow runs a crew of ': 'confirmed',
      'And up to 2.19 times w': 'confirmed',
    });
  });

  test('break-even is the KV of a token times the prefill rate: 41 k tokens/s of 131 kB are 5.4 GB/s', () => {
    const claims = judged(({ part, x }) => {
      // 10,000 tokens in 242 ms; loads from 10 GB/s on.
      if (part === 'prefill') return { promptTokens: 10_000_000, calls: 1000, ttftMsMean: 242 };
      if (part === 'tier') return { computedTokens: x >= 10 ? 300_000 : 1_000_000 };
      return {};
    });
    const rule = claims.find(({ text }) => text.startsWith('Loading KV beats'))!;
    expect(rule.figure).toContain(
      'Llama 3.1 8B, H100: 5.42 GB/s by that rule, in the simulation above 5 and at 10',
    );
    // The other models are given the same rate: theirs is another place.
    expect(rule.verdict).toBe('partly');
  });
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/retention.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study retention');
  const { claims } = study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf() })));
  for (const { text } of claims) expect(page).toContain(text);
});
