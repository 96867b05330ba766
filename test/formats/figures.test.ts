// The closed set of figures: what a preset may cite, and what a trace has of each.
import { describe, expect, test } from 'vitest';
import { FIGURE_NAMES, FIGURES, figureSchema, figuresSchema } from '../../scenarios/formats/figures.ts';
import { checkSchema } from '../../scenarios/formats/source.ts';
import { traceProfiler } from '../../scenarios/traces/profile.ts';
import { aChain, aRecordedSession } from '../builders/recorded.ts';

const profiler = traceProfiler();
for (const [row, arrivalMs] of [0, 1000, 4000].entries()) {
  profiler.add(
    aChain(
      [
        [0, 1000, 'human'],
        [10_000, 1000, 'tool'],
        [90_000, 1000, 'human'],
      ],
      { id: `s${row}`, arrivalMs, blockScope: 'test/file:shared' },
    ),
  );
}
const profile = profiler.profile();

describe('figures', () => {
  test('of a trace: spreads as p50, p90 and mean, values as one number, times in seconds', () => {
    expect(FIGURES.tool_gap_s.of(profile)).toEqual({ p50: 9, p90: 9, mean: 9 });
    expect(FIGURES.human_gap_s.of(profile)).toMatchObject({ p50: 79 });
    expect(FIGURES.calls_per_session.of(profile)).toEqual({ p50: 3, p90: 3, mean: 3 });
    expect(FIGURES.gap_over_60s_ratio.of(profile)).toEqual({ value: 0.5 });
    expect(FIGURES.input_output_ratio.of(profile)).toEqual({ value: 4 });
    // Of 2 + 4 + 6 blocks three times: the first session computes six, all else is found.
    expect(FIGURES.cache_hit_ratio.of(profile)!.value).toBeCloseTo(1 - 6 / 36, 12);
    expect(FIGURES.arrival_rate_per_s.of(profile)).toEqual({ value: 0.5 });
  });

  test('that the trace does not hold are not known, not 0', () => {
    const bare = traceProfiler();
    bare.add(aRecordedSession());
    const known = FIGURE_NAMES.filter(name => FIGURES[name].of(bare.profile()) !== null);
    for (const name of [
      'cache_hit_ratio',
      'tool_gap_s',
      'arrival_cv',
      'context_growth',
      'ttft_s',
      'reasoning_ratio',
    ])
      expect(known).not.toContain(name);
    expect(known).toContain('prompt_tokens');
  });

  test.each(FIGURE_NAMES)(
    '%s has a doc, a unit that its name agrees with, and the kind that it gives',
    name => {
      const { doc, unit, kind, of } = FIGURES[name];
      expect(doc).toMatch(/^[a-z].{10,}[^.]$/);
      if (/_tokens(_|$)/.test(name)) expect(unit).toBe('tokens');
      if (/_per_s$/.test(name)) expect(unit).toBe('/s');
      else if (/_s$/.test(name)) expect(unit).toBe('s');
      const found = of(profile);
      if (found !== null)
        expect(Object.keys(found)).toEqual(kind === 'value' ? ['value'] : ['p50', 'p90', 'mean']);
    },
  );

  test('are cited with a source and how they are known; what does not fit is refused at its key', () => {
    const cite = (part: object) => ({ source: 'a paper, table 2', evidence: 'reported', ...part });
    expect(figureSchema.parse(cite({ of: 'tool_gap_s', p50: 9, unit: 's' }))).toMatchObject({ p50: 9 });
    const refusal = (part: object): string => {
      const [found] = checkSchema(figuresSchema, [cite(part)], ['figures']).issues;
      return `${found!.path.join('.')}: ${found!.message}`;
    };
    expect(refusal({ of: 'tool_gap_s', value: 9 })).toBe(
      'figures.0.value: tool_gap_s is a distribution: write p50, p90 or mean',
    );
    expect(refusal({ of: 'cache_hit_ratio', p50: 0.9 })).toBe(
      'figures.0.p50: cache_hit_ratio is one number: write value',
    );
    expect(refusal({ of: 'output_tokens' })).toBe('figures.0.of: output_tokens needs p50, p90 or mean');
    expect(refusal({ of: 'cache_hit_ratio', value: 0.9, unit: '%' })).toMatch(
      /the unit of cache_hit_ratio is "ratio"/,
    );
    expect(refusal({ of: 'tool_gaps', p50: 9 })).toMatch(/^figures\.0\.of: .*tool_gaps/);
    expect(refusal({ of: 'tool_gap_s', p50: 9, evidence: 'hearsay' })).toMatch(/^figures\.0\.evidence/);
  });
});
