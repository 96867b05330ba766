import { describe, expect, test, vi } from 'vitest';
import type { Clock } from '../../loadgen/clock.ts';
import { startClock } from '../../loadgen/clock.ts';
import { createPacer } from '../../loadgen/pacer.ts';

/** Vitest's clock as ours: nothing here sleeps. */
function fakeTime(): Clock {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance'],
  });
  const startMs = performance.now();
  return { zero: { monotonicMs: 0, unixMs: 0 }, nowMs: () => performance.now() - startMs };
}

describe('a pacer', () => {
  test('runs functions in order of their instants, never early, those of one instant in order of asking', () => {
    const clock = fakeTime();
    const pacer = createPacer(clock);
    const ran: [string, number][] = [];
    const run = (name: string) => () => ran.push([name, clock.nowMs()]);
    pacer.at(30, run('c'));
    pacer.at(10, run('a'));
    pacer.at(10, run('b'));
    expect(pacer.pending).toBe(3);
    vi.advanceTimersByTime(9);
    expect(ran).toEqual([]);
    vi.advanceTimersByTime(31);
    expect(ran.map(([name]) => name)).toEqual(['a', 'b', 'c']);
    for (const [i, dueMs] of [10, 10, 30].entries()) expect(ran[i]![1]).toBeGreaterThanOrEqual(dueMs);
    expect(pacer.pending).toBe(0);
    vi.useRealTimers();
  });

  test('runs what is past in a later turn, not at once', () => {
    const pacer = createPacer(fakeTime());
    const ran: number[] = [];
    pacer.at(-5, () => ran.push(1));
    expect(ran).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(ran).toEqual([1]);
    vi.useRealTimers();
  });

  test('does not run what was cancelled, and still runs the rest', () => {
    const pacer = createPacer(fakeTime());
    const ran: string[] = [];
    const cancel = pacer.at(5, () => ran.push('a'));
    pacer.at(6, () => ran.push('b'));
    cancel();
    cancel();
    expect(pacer.pending).toBe(1);
    vi.advanceTimersByTime(20);
    expect(ran).toEqual(['b']);
    pacer.at(30, () => ran.push('c'));
    pacer.clear();
    vi.advanceTimersByTime(40);
    expect([ran, pacer.pending]).toEqual([['b'], 0]);
    vi.useRealTimers();
  });

  test('goes on after a function that throws', () => {
    const pacer = createPacer(fakeTime());
    const ran: string[] = [];
    pacer.at(5, () => {
      throw new Error('mine');
    });
    pacer.at(5, () => ran.push('b'));
    expect(() => vi.advanceTimersByTime(20)).toThrow('mine');
    vi.advanceTimersByTime(20);
    expect(ran).toEqual(['b']);
    vi.useRealTimers();
  });

  test('runs a thousand instants in order, whatever the order of asking', () => {
    const pacer = createPacer(fakeTime());
    const ran: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const atMs = (i * 7919) % 1000;
      pacer.at(atMs, () => ran.push(atMs));
    }
    vi.advanceTimersByTime(1100);
    expect(ran).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    vi.useRealTimers();
  });
});

test('clocks that share a zero read the same time', () => {
  const first = startClock();
  const second = startClock(first.zero);
  expect(Math.abs(first.nowMs() - second.nowMs())).toBeLessThan(1);
});
