// What each scheduling policy makes of cases that were worked out by hand.
import { describe, expect, test } from 'vitest';
import { schedulingPolicy } from '../../../gateway/scheduling/index.ts';
import { arrival, served } from './build.ts';

const make = (name: string, options: Record<string, unknown> = {}) => schedulingPolicy(name).create(options);

describe('policies without memory', () => {
  test('fcfs calls all equally urgent', () => {
    expect(make('fcfs').urgency(arrival({ priority: 3 }), 5)).toBe(0);
  });

  test('priority turns the sign: higher goes first in a scenario, lower in vLLM', () => {
    expect(make('priority').urgency(arrival({ priority: 3 }), 0)).toBe(-3);
    expect(Object.is(make('priority').urgency(arrival(), 0), 0)).toBe(true);
  });

  test('edf takes the earliest deadline, and a call without one last', () => {
    const edf = make('edf');
    const late = edf.urgency(arrival({ deadlineMs: 86_400_000 }), 0);
    expect(edf.urgency(arrival({ deadlineMs: 2500 }), 0)).toBeLessThan(late);
    expect(edf.urgency(arrival(), 0)).toBeGreaterThan(late);
  });

  test('shortest_prompt goes by tokens of the prompt', () => {
    expect(make('shortest_prompt').urgency(arrival({ promptTokens: 700 }), 0)).toBe(700);
  });

  test('program_fcfs goes by the start of the session, however late the call comes', () => {
    expect(make('program_fcfs').urgency(arrival({ sessionStartMs: 1200 }), 90_000)).toBe(1200);
  });
});

describe('plas', () => {
  test('moves a program down a level each time its service doubles, whatever calls it came from', () => {
    const plas = make('plas', { levels: 4, quantum: 1000 });
    const level = (servedMs: number) => {
      plas.ended?.(served({ servedMs }), 0);
      return plas.urgency(arrival(), 0);
    };
    expect(plas.urgency(arrival(), 0)).toBe(0);
    // In all 999, 1000, 1999, 2000, 4000 and 60,000 ms: bounds at 1, 2 and 4 s; four levels end at the fourth.
    expect([999, 1, 999, 1, 2000, 56_000].map(level)).toEqual([0, 1, 1, 2, 3, 3]);
    expect(plas.urgency(arrival({ session: 'another' }), 0)).toBe(0);
  });

  test('lifts a program that has waited beta times its service, until its next call has ended', () => {
    const plas = make('plas', { quantum: 1000, beta: 3 });
    plas.ended?.(served({ servedMs: 2000, waitedMs: 5999 }), 0);
    expect(plas.urgency(arrival(), 0)).toBe(2);
    // Waiting 6000 of 2000 ms served: lifted; then 0 of 100 ms, counted anew: back to the level of 2100 ms.
    plas.ended?.(served({ servedMs: 0, waitedMs: 1 }), 0);
    expect(plas.urgency(arrival(), 0)).toBe(0);
    plas.ended?.(served({ servedMs: 100, waitedMs: 0 }), 0);
    expect(plas.urgency(arrival(), 0)).toBe(2);
  });

  test('forgets a session that has ended', () => {
    const plas = make('plas');
    plas.ended?.(served({ servedMs: 50_000 }), 0);
    plas.sessionEnded?.('s', 'w', 0);
    expect(plas.urgency(arrival(), 0)).toBe(0);
  });
});

describe('atlas', () => {
  test('goes by the longest chain before a call, not by the sum of all calls', () => {
    // 1 -> { 2, 3 } -> 4: before 4 lie 600 + max(300, 699) = 1299 ms, of 1599 in all; levels end at 700 and 1400.
    const atlas = make('atlas', { quantum: 700 });
    const plas = make('plas', { quantum: 700 });
    const start = (id: number, parents: number[]) => {
      const call = arrival({ id, parents });
      return [atlas.urgency(call, 0), plas.urgency(call, 0)];
    };
    const end = (id: number, servedMs: number) => {
      for (const scheduler of [atlas, plas]) scheduler.ended?.(served({ id, servedMs }), 0);
    };
    expect(start(1, [])).toEqual([0, 0]);
    end(1, 600);
    expect([start(2, [1]), start(3, [1])]).toEqual([
      [0, 0],
      [0, 0],
    ]);
    end(2, 300);
    end(3, 699);
    expect(start(4, [2, 3])).toEqual([1, 2]);
  });

  test('takes a call without known parents as the start of a chain, and forgets ended sessions', () => {
    const atlas = make('atlas');
    atlas.urgency(arrival({ id: 7 }), 0);
    atlas.ended?.(served({ id: 7, servedMs: 50_000 }), 0);
    expect(atlas.urgency(arrival({ id: 8, parents: [99] }), 0)).toBe(0);
    expect(atlas.urgency(arrival({ id: 9, parents: [7] }), 0)).toBe(6);
    atlas.sessionEnded?.('s', 'w', 0);
    expect(atlas.urgency(arrival({ id: 10, parents: [7] }), 0)).toBe(0);
  });
});

describe('kairos', () => {
  test('expects what past sessions took from this step to their end', () => {
    const kairos = make('kairos');
    // Session a: plan at 0, work at 1000 and 3000, end at 5000. Session b: plan at 0, work at 2000, end at 2500.
    const at = (session: string, step: string, nowMs: number) =>
      kairos.urgency(arrival({ session, step }), nowMs);
    expect([at('a', 'plan', 0), at('a', 'work', 1000), at('a', 'work', 3000)]).toEqual([0, 0, 0]);
    kairos.sessionEnded?.('a', 'w', 5000);
    expect([at('b', 'plan', 0), at('b', 'work', 2000)]).toEqual([5000, 3000]);
    kairos.sessionEnded?.('b', 'w', 2500);
    // plan: (5000 + 2500) / 2; work: (4000 + 2000 + 500) / 3.
    expect(at('c', 'plan', 9000)).toBe(3750);
    expect(at('c', 'work', 9000)).toBeCloseTo(6500 / 3, 9);
    expect(kairos.urgency(arrival({ workflow: 'other', step: 'plan' }), 0)).toBe(0);
  });
});
