// What is taken of a trace, as options: what they mean, and what is refused with what to write instead.
import { describe, expect, test } from 'vitest';
import { UserError } from '../../scenarios/base/errors.ts';
import { readOptionsOf, selectionOf, type TraceOptions } from '../../scenarios/cli/trace-options.ts';

const options = (part: Partial<TraceOptions>): TraceOptions & { strict: boolean } => ({
  format: undefined,
  from: undefined,
  to: undefined,
  'max-context': undefined,
  'sample-sessions': undefined,
  'gap-cap': undefined,
  anonymize: undefined,
  'block-size': undefined,
  'jitter-quantum': undefined,
  strict: false,
  ...part,
});

describe('the selection', () => {
  test('is none without options', () => {
    expect(selectionOf(options({}))).toBeNull();
    expect(readOptionsOf(options({}))).toEqual({ strict: false });
  });

  test('counts durations from the start of the trace, and takes dates with or without time and zone as UTC', () => {
    const from = (text: string) => selectionOf(options({ from: text }))!.window!.from;
    expect(from('10m')).toEqual({ elapsedMs: 600_000 });
    const nine = { unixMs: Date.UTC(2026, 10, 21, 9) };
    expect(from('2026-11-21T09:00Z')).toEqual(nine);
    expect(from('2026-11-21 09:00')).toEqual(nine);
    expect(from('2026-11-21T10:00:00.000+01:00')).toEqual(nine);
    expect(from('2026-11-21')).toEqual({ unixMs: Date.UTC(2026, 10, 21) });
    expect(selectionOf(options({ to: '1h' }))!.window).toEqual({ from: null, to: { elapsedMs: 3_600_000 } });
  });

  test('takes fractions, caps and block sizes', () => {
    expect(selectionOf(options({ 'sample-sessions': '1/8', 'gap-cap': '10s', anonymize: true }))).toEqual({
      window: null,
      maxContextTokens: null,
      sample: { keep: 1, of: 8 },
      gapCap: { capMs: 10_000, gapScale: 1 },
      anonymize: true,
    });
    expect(readOptionsOf(options({ 'block-size': 64, format: 'mooncake', 'jitter-quantum': true }))).toEqual({
      strict: false,
      blockTokens: 64,
      format: 'mooncake',
      jitterQuantum: true,
    });
  });

  test.each<[Partial<TraceOptions>, RegExp]>([
    [{ from: 'noon' }, /^--from noon: expected a duration/],
    [{ from: '2026-13-45' }, /there is no such time/],
    [{ from: '2026-02-30T09:00Z' }, /there is no such time/],
    [{ to: '2026-11-21T09:00+99:00' }, /there is no such time/],
    [{ to: '10' }, /^--to 10: expected a duration/],
    [{ 'sample-sessions': '0.1' }, /expected a fraction of at most 1/],
    [{ 'sample-sessions': '9/8' }, /expected a fraction of at most 1/],
    [{ 'sample-sessions': '0/8' }, /expected a fraction of at most 1/],
    [{ 'gap-cap': '10' }, /^--gap-cap 10: expected a duration/],
    [{ 'block-size': 0 }, /expected a whole number of tokens/],
  ])('%j is refused with what to write', (part, message) => {
    const given = options(part);
    const read = () => [selectionOf(given), readOptionsOf(given)];
    expect(read).toThrow(UserError);
    expect(read).toThrow(message);
    try {
      read();
    } catch (error) {
      expect((error as UserError).hint).toMatch(/./);
    }
  });
});
