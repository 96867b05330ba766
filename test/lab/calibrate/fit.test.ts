import { describe, expect, test } from 'vitest';
import { addSequence, emptyLoad } from '../../../engines/step-load.ts';
import { profileStep } from '../../../engines/steps/profile.ts';
import { settingName, settings } from '../../../lab/calibrate/design.ts';
import { fitCosts, nonNegative, type Observation } from '../../../lab/calibrate/fit.ts';
import {
  type Costs,
  type Counts,
  countsOf,
  promptSteps,
  TERMS,
  type Term,
  timeMs,
} from '../../../lab/calibrate/terms.ts';
import { extend, textKey, uniform } from '../../../scenarios/base/key.ts';

const COSTS: Costs = {
  frontend: 6,
  frontend_token: 0.002,
  base: 9,
  decode: 0.35,
  context_token: 0.0004,
  prefill: 2.5,
  prefill_token: 0.18,
  prefill_context: 0.001,
  pair: 0.0001,
};
const BUDGET = 1024;
const none: Counts = countsOf([], { calls: 0, promptTokens: 0 });

const alone = (promptTokens: number, cachedTokens = 0): Counts =>
  countsOf(promptSteps({ promptTokens, cachedTokens, budgetTokens: BUDGET }), { calls: 1, promptTokens });
const decoding = (decodes: number, contextTokens: number): Counts => ({
  ...none,
  base: 1,
  decode: decodes,
  context_token: decodes * contextTokens,
});
const mixed = (decodes: number, promptTokens: number): Counts => {
  const steps = promptSteps({ promptTokens, cachedTokens: 0, budgetTokens: BUDGET, decodes });
  const own = countsOf(steps, { calls: 0, promptTokens: 0 });
  const beside = steps.length * decodes;
  return { ...own, decode: own.decode + beside, context_token: own.context_token + beside * 100 };
};

const SETTINGS: [Observation['kind'], string, Counts][] = [
  ...[16, 64, 256, 512, 1024, 2048, 4000].map(n => ['prefill', `p${n}`, alone(n)] as const),
  ...[512, 1024, 2048, 3900].map(n => ['cached', `c${n}`, alone(n + 32, n)] as const),
  ...[1, 4, 16, 32].flatMap(n => [32, 512, 2048].map(c => ['decode', `d${n}x${c}`, decoding(n, c)] as const)),
  ...[1, 4, 16].flatMap(n => [16, 128, 512, 1536].map(p => ['mixed', `m${n}+${p}`, mixed(n, p)] as const)),
].map(row => [...row]);

/** Repeats with even noise of so much of the time, and some that take three times as long. */
function observed({ noise = 0, outliers = 0, costs = COSTS } = {}): Observation[] {
  const key = textKey('fit.test');
  return SETTINGS.flatMap(([kind, name, counts], s) =>
    Array.from({ length: 8 }, (_, round) => {
      const drawn = extend(key, s, round);
      const stretch = 1 + noise * (2 * uniform(extend(drawn, 1)) - 1);
      const hiccup = uniform(extend(drawn, 2)) < outliers ? 3 : 1;
      return { kind, name, round, counts, measuredMs: timeMs(counts, costs) * stretch * hiccup };
    }),
  );
}

const off = (found: Costs, term: Term): number => Math.abs(found[term] / COSTS[term] - 1);

describe('the fit of step costs', () => {
  test('finds exactly what it was given', () => {
    const { costs, residuals } = fitCosts(observed());
    for (const term of TERMS) expect(off(costs, term), term).toBeLessThan(1e-6);
    expect(Math.max(...residuals.map(Math.abs))).toBeLessThan(1e-6);
  });

  test('finds it within the noise, and its intervals hold the truth', () => {
    const { costs, terms, kinds } = fitCosts(observed({ noise: 0.1 }));
    for (const term of ['base', 'decode', 'prefill_token', 'pair'] as const) {
      expect(off(costs, term), term).toBeLessThan(0.08);
      const [low, high] = terms[term].ci95!;
      expect(low).toBeLessThan(COSTS[term]);
      expect(high).toBeGreaterThan(COSTS[term]);
    }
    // Even noise of ±10 % has a deviation of 5.8 %.
    for (const { noiseRatio, unseenRatio } of kinds) {
      expect(noiseRatio).toBeGreaterThan(0.04);
      expect(noiseRatio).toBeLessThan(0.08);
      expect(unseenRatio).toBeLessThan(0.06);
    }
  });

  test('is not moved by a tenth of the times that took three times as long', () => {
    const { costs } = fitCosts(observed({ noise: 0.04, outliers: 0.1 }));
    for (const term of ['base', 'decode', 'prefill_token', 'pair'] as const)
      expect(off(costs, term), term).toBeLessThan(0.08);
  });

  test('leaves out a cost that is not there, and says so', () => {
    const { terms, costs } = fitCosts(
      observed({ noise: 0.1, costs: { ...COSTS, prefill: 0, context_token: 0 } }),
    );
    for (const term of ['prefill', 'context_token'] as const) {
      expect(costs[term]).toBe(0);
      expect(terms[term].dropped).toContain('its interval reaches 0');
      expect(terms[term].ci95).toBeNull();
    }
    expect(terms.prefill_token.dropped).toBeNull();
  });

  test('leaves out a cost that no experiment has', () => {
    const { terms } = fitCosts(observed().filter(({ kind }) => kind === 'decode'));
    expect(terms.pair.dropped).toBe('no experiment has it');
    expect(terms.base.dropped).toBeNull();
  });

  test('a form that lacks a cost shows as error of unseen settings, not as noise', () => {
    const bent = observed().map(row => ({
      ...row,
      measuredMs: row.measuredMs + (row.kind === 'decode' ? row.counts.decode ** 2 * 0.05 : 0),
    }));
    const decode = fitCosts(bent).kinds.find(({ kind }) => kind === 'decode')!;
    expect(decode.noiseRatio).toBeLessThan(0.001);
    expect(decode.unseenRatio).toBeGreaterThan(0.1);
  });
});

describe('least squares without negative costs', () => {
  const solved = (a: number[][], b: number[]): number[] =>
    nonNegative(
      a.map(row => Float64Array.from(row)),
      Float64Array.from(b),
    );

  test('is the plain solution where that has none', () => {
    const [x, y] = solved(
      [
        [4, 1],
        [1, 3],
      ],
      [1, 2],
    );
    expect(x).toBeCloseTo(1 / 11);
    expect(y).toBeCloseTo(7 / 11);
  });

  test('holds at 0 what would fall below it, and solves for the others anew', () => {
    const rows = [
      [2, 1],
      [1, 2],
    ];
    const [x, y] = solved(rows, [3, -1]);
    expect(x).toBeCloseTo(1.5);
    expect(y).toBe(0);
  });

  test('takes one of two costs that always occur together', () => {
    const [x, y] = solved(
      [
        [1, 1],
        [1, 1],
      ],
      [2, 2],
    );
    expect(x! + y!).toBeCloseTo(2);
  });
});

describe('what a time consists of', () => {
  test('a prompt goes through the budget in steps that each see what came before', () => {
    const steps = promptSteps({ promptTokens: 2100, cachedTokens: 100, budgetTokens: 1024, decodes: 24 });
    expect(steps.map(({ prefillTokens }) => prefillTokens)).toEqual([1000, 1000]);
    expect(steps.map(({ samples }) => samples)).toEqual([0, 1]);
    expect(steps[1]!.prefillPairs).toBe(1000 * 1100 + (1000 * 1001) / 2);
  });

  test('is priced as the profile of those costs prices the steps', () => {
    const load = emptyLoad();
    for (let i = 0; i < 8; i++) addSequence(load, 299, 1, true);
    addSequence(load, 128, 500, true);
    const us = (ms: number): number => ms * 1000;
    const step = profileStep({
      windtunnel_profile: 1,
      name: 'x',
      measured: { engine: 'e', model: 'm', gpu: 'g', at: '2026-11-20', by: 'b' },
      step: {
        base_ms: COSTS.base,
        per_decode_us: us(COSTS.decode),
        per_context_token_us: us(COSTS.context_token),
        per_prefill_us: us(COSTS.prefill),
        per_prefill_token_us: us(COSTS.prefill_token),
        per_prefill_context_token_us: us(COSTS.prefill_context),
        per_pair_us: us(COSTS.pair),
      },
      range: { decodes: 1, context_tokens: 1, prefill_tokens: 1 },
      expected_error: { ttft: null, tpot: null, e2e: null },
    });
    const counts = countsOf([load], { calls: 0, promptTokens: 0 });
    expect(step.stepNs(load) / 1e6).toBeCloseTo(timeMs(counts, COSTS), 3);
  });
});

describe('the design', () => {
  const limits = {
    maxModelTokens: 4096,
    maxBatchedTokens: 1024,
    maxSequences: 32,
    blockTokens: 128,
    kvBlocks: 2048,
    prefixCaching: true,
  };

  test('stays within the window, the batch and the cache', () => {
    for (const tight of [limits, { ...limits, kvBlocks: 40, maxSequences: 3, maxModelTokens: 600 }]) {
      for (const setting of settings(tight)) {
        const name = settingName(setting);
        if (setting.kind === 'decode') {
          expect(setting.streams, name).toBeLessThanOrEqual(tight.maxSequences);
          expect(setting.streams * setting.contextTokens, name).toBeLessThan(
            tight.kvBlocks * tight.blockTokens,
          );
        }
        if (setting.kind === 'mixed') expect(setting.streams, name).toBeLessThan(tight.maxSequences);
        const prompt =
          'promptTokens' in setting
            ? setting.promptTokens
            : 'prefixTokens' in setting
              ? setting.prefixTokens + setting.tailTokens
              : 0;
        expect(prompt, name).toBeLessThan(tight.maxModelTokens);
      }
    }
  });

  test('asks for no cached prompts of a server without a cache', () => {
    expect(settings({ ...limits, prefixCaching: false }).some(({ kind }) => kind === 'cached')).toBe(false);
  });
});
