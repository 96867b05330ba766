// The first thing that happened otherwise.
import { describe, expect, test } from 'vitest';
import type { CallEvents, RunEvents } from '../../../lab/compare/events-measure.ts';
import { firstDifferenceOf } from '../../../lab/compare/first-difference.ts';
import { aCall } from '../../builders/records.ts';

const run = (calls: readonly CallEvents[], steps: RunEvents['steps'] = []): RunEvents => ({ calls, steps });
const early = aCall({ session: 's0', call: 'a' });
const late = aCall({
  session: 's1',
  call: 'b',
  plannedMs: 500,
  sentMs: 500,
  scheduledMs: 510,
  firstTokenMs: 600,
  endMs: 900,
});

describe('the first difference', () => {
  test('is the earliest fact, and the cause before what follows from it', () => {
    const other = run([
      { ...early, endMs: 1200 },
      { ...late, replica: 'main/1', scheduledMs: 505, firstTokenMs: 595 },
    ]);
    // The call that ends later ends at 1,100; the other was sent elsewhere at 500.
    expect(firstDifferenceOf(run([early, late]), other)).toEqual({
      atMs: 500,
      session: 's1',
      call: 'b',
      text: 'replica was main/0, is main/1',
    });
  });

  test('says how much later or earlier', () => {
    expect(firstDifferenceOf(run([early]), run([{ ...early, firstTokenMs: 120 }]))).toMatchObject({
      atMs: 100,
      text: 'its first token came 20 ms later',
    });
    expect(firstDifferenceOf(run([early]), run([{ ...early, endMs: 1000 }]))!.text).toBe(
      'it ended 100 ms earlier',
    );
  });

  test('is a call that only one of them has', () => {
    expect(firstDifferenceOf(run([early, late]), run([early]))).toMatchObject({
      atMs: 500,
      text: 'it is in the baseline only',
    });
    expect(firstDifferenceOf(run([early]), run([early, late]))!.text).toBe('it is in the candidate only');
  });

  test('may be a tool', () => {
    const step = { session: 's0', call: 'fetch', status: 'completed', startMs: 10, endMs: 40 } as const;
    expect(firstDifferenceOf(run([early], [step]), run([early], [{ ...step, endMs: 30 }]))).toMatchObject({
      atMs: 30,
      call: 'fetch',
      text: 'it ended 10 ms earlier',
    });
  });

  test('is none of equal runs, in whatever order their records are', () => {
    expect(firstDifferenceOf(run([early, late]), run([late, early]))).toBeNull();
  });
});
