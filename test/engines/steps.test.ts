import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { affine } from '../../engines/affine.ts';
import type { StepLoad } from '../../engines/engine.ts';
import { decodeLoad, emptyLoad } from '../../engines/step-load.ts';

const decode = (sequences: number, context: number): StepLoad => decodeLoad(sequences, sequences * context);

describe('the affine step', () => {
  it('is the sum of its costs, in whole nanoseconds', () => {
    const step = affine({
      model: 'affine',
      base: 12,
      per_token: 0.06,
      per_sequence: 0.01,
      per_context_token: 0.00002,
    });
    expect(
      step.stepNs({
        ...emptyLoad(),
        prefills: 3,
        prefillTokens: 100,
        prefillContextTokens: 5000,
        prefillPairs: 9,
      }),
    ).toBe(12_000_000 + 6_000_000 + 30_000 + 100_000);
  });

  it('lasts at least 1 ns, and throws where it would no longer be exact', () => {
    const step = affine({ model: 'affine', base: 0, per_token: 3_600_000 });
    expect(step.stepNs(emptyLoad())).toBe(1);
    expect(() => step.stepNs(decode(3, 1))).toThrow('more than 2.4 hours');
  });

  it('adds: the cost of two loads is the sum of their costs less one base', () => {
    const step = affine({
      model: 'affine',
      base: 8,
      per_token: 0.0625,
      per_sequence: 0.5,
      per_attention_pair: 0.001,
    });
    const load = fc.record({
      decodes: fc.nat(1000),
      decodeContextTokens: fc.nat(1_000_000),
      prefills: fc.nat(100),
      prefillTokens: fc.nat(10_000),
      prefillContextTokens: fc.nat(1_000_000),
      prefillPairs: fc.nat(1_000_000),
      samples: fc.nat(1000),
    });
    fc.assert(
      fc.property(load, load, (a, b) => {
        const both = { ...a };
        for (const key of Object.keys(both) as (keyof StepLoad)[]) both[key] += b[key];
        expect(step.stepNs(both)).toBe(step.stepNs(a) + step.stepNs(b) - 8_000_000);
      }),
    );
  });
});
