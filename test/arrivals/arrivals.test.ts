// Arrivals: rates that move, gaps of every kind, and the same instants again for the same seed.
import { describe, expect, test } from 'vitest';
import { arrivalTimes } from '../../scenarios/arrivals/arrivals.ts';
import { peakPerSec } from '../../scenarios/arrivals/rate.ts';
import { textKey } from '../../scenarios/base/key.ts';
import type { OpenCohort } from '../../scenarios/formats/plan.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';

const cohortOf = (arrival: string, rest = ''): OpenCohort => {
  const text = workflowText('[ { llm: a, adds: 5, out: 1 } ]').replace(
    /traffic:.*/,
    `traffic: [ { workflow: main, arrival: ${arrival}${rest} } ]`,
  );
  return planOf(text).cohorts[0] as OpenCohort;
};
const instants = (arrival: string, rest = ''): number[] =>
  [...cohortOf(arrival, rest).sessions()].map(session => session.plannedMs);

function gapsOf(times: readonly number[]): { mean: number; cv: number } {
  const gaps = times.slice(1).map((each, i) => each - (times[i] as number));
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length;
  return { mean, cv: Math.sqrt(variance) / mean };
}
const within = (times: readonly number[], fromMs: number, toMs: number): number =>
  times.filter(each => each >= fromMs && each < toMs).length;

describe('gaps', () => {
  test.each([
    ['poisson: { rate: 10/s }', 1],
    ['gamma: { rate: 10/s, cv: 2.2 }', 2.2],
    ['gamma: { rate: 10/s, cv: 0.4 }', 0.4],
    ['weibull: { rate: 10/s, cv: 1.7 }', 1.7],
    ['weibull: { rate: 10/s, shape: 1 }', 1],
    ['constant: { rate: 10/s }', 0],
  ])('%s has its mean and its coefficient of variation', (process, cv) => {
    const gaps = gapsOf(instants(`{ ${process} }`, ', sessions: 40000'));
    expect(Math.abs(gaps.mean - 100)).toBeLessThan(100 * 0.03);
    expect(Math.abs(gaps.cv - cv)).toBeLessThan(0.05 * Math.max(1, cv));
  });

  test('the first of evenly spaced arrivals is at time 0, the others a gap apart', () => {
    expect(instants('{ constant: { rate: 2/s } }', ', sessions: 4')).toEqual([0, 500, 1000, 1500]);
  });

  test('the same seed gives the same instants, and fewer sessions a head of them', () => {
    const many = instants('{ gamma: { rate: 1/s, cv: 3 } }', ', sessions: 300');
    expect(instants('{ gamma: { rate: 1/s, cv: 3 } }', ', sessions: 120')).toEqual(many.slice(0, 120));
  });
});

describe('rates that move', () => {
  test('phases follow each other and end the arrivals', () => {
    const times = instants(
      '{ constant: true, phases: [ { for: 10s, rate: 10/s }, { for: 10s, rate: 0/s }, { for: 10s, rate: 40/s } ] }',
    );
    expect([within(times, 0, 1e4), within(times, 1e4, 2e4), within(times, 2e4, 3e4)]).toEqual([100, 0, 400]);
    expect(times.length).toBe(500);
  });

  test('a ramp is a straight line: the first half of its time has a quarter of its arrivals, then the end rate stays', () => {
    const times = instants('{ constant: true, ramp: { from: 0/s, to: 20/s, over: 100s } }', ', for: 200s');
    expect(within(times, 0, 5e4)).toBeCloseTo(250, -1);
    expect(within(times, 0, 1e5)).toBeCloseTo(1000, -1);
    expect(within(times, 1e5, 2e5)).toBeCloseTo(2000, -1);
  });

  test('a spike multiplies the rate for a while', () => {
    const times = instants(
      '{ constant: { rate: 5/s }, spike: { at: 20s, for: 10s, times: 6 } }',
      ', for: 60s',
    );
    expect(within(times, 0, 2e4)).toBeCloseTo(100, -1);
    expect(within(times, 2e4, 3e4)).toBeCloseTo(300, -1);
    expect(within(times, 3e4, 6e4)).toBeCloseTo(150, -1);
  });

  test('a daily curve keeps the mean of the day, and its peak over its trough is as asked', () => {
    const hour = 3_600_000;
    const times = instants(
      '{ constant: { rate: 1/s }, diurnal: { peak_hour: 15, peak_to_trough: 4 } }',
      ', for: 2d',
    );
    expect(times.length / 172_800).toBeCloseTo(1, 3);
    const perHour = (h: number): number => within(times, h * hour, (h + 1) * hour);
    // The two hours around 15:00 and around 03:00: a little less than the extremes.
    expect((perHour(14) + perHour(15)) / (perHour(2) + perHour(3))).toBeCloseTo(3.92, 1);
    expect(perHour(38)).toBeCloseTo(perHour(14), -1);
  });

  test('start_hour says the time of day at time 0', () => {
    const curve = (start: number): string =>
      `{ constant: { rate: 1/s }, diurnal: { peak_hour: 15, peak_to_trough: 4, start_hour: ${start} } }`;
    const first = within(instants(curve(15), ', for: 1h'), 0, 3_600_000);
    expect(first / 3600).toBeCloseTo(1.6, 1);
  });

  test('a phase may have its own process and cv, and a multiple of the rate', () => {
    const times = instants(
      '{ poisson: { rate: 10/s }, phases: [ { for: 1000s, times: 1, process: gamma, cv: 3 }, { for: 1000s, times: 2 } ] }',
    );
    expect(gapsOf(times.filter(each => each < 1e6)).cv).toBeGreaterThan(2.5);
    const second = gapsOf(times.filter(each => each > 1e6));
    expect(second.cv).toBeCloseTo(1, 1);
    expect(second.mean).toBeCloseTo(50, -1);
  });

  test('start moves a whole cohort, and its `for` counts from there', () => {
    const times = instants('{ constant: { rate: 1/s } }', ', start: 1h, for: 5s');
    expect(times).toEqual([0, 1, 2, 3, 4, 5].map(each => 3_600_000 + each * 1000));
  });

  test('closed agents start over a ramp', () => {
    const text = workflowText('[ { llm: a, adds: 5, out: 1 } ]').replace(
      /traffic:.*/,
      'traffic: [ { workflow: main, arrival: { closed: { agents: 4, ramp: 20s } }, sessions: 8 } ]',
    );
    const cohort = planOf(text).cohorts[0];
    if (cohort?.kind !== 'closed') throw new Error('closed');
    expect([0, 1, 2, 3].map(agent => cohort.session(agent, 0, 0)?.plannedMs)).toEqual([
      0, 5000, 10_000, 15_000,
    ]);
  });

  test('the peak of a rate is what capacity has to hold', () => {
    const { arrival } = cohortOf(
      '{ poisson: { rate: 2/s }, spike: { at: 20s, for: 10s, times: 6 } }',
      ', for: 60s',
    );
    if (arrival.kind !== 'renewal') throw new Error('renewal');
    expect(peakPerSec(arrival.rate, 60_000)).toBeCloseTo(12, 9);
    expect(peakPerSec(arrival.rate, 10_000)).toBeCloseTo(2, 9);
  });
});

test('a rate that has ended gives no arrival, whatever is left of a gap', () => {
  const unit = { kind: 'constant', value: 1 } as const;
  const rate = {
    phases: [{ forMs: 1000, fromPerSec: 0, toPerSec: 0, gaps: { process: 'poisson' as const, unit } }],
    stays: false,
    spike: null,
    diurnal: null,
  };
  const times = arrivalTimes({ kind: 'renewal', rate }, textKey('k'), { sessions: 9, forMs: 1e9 });
  expect([...times]).toEqual([]);
});

describe('rates that end or hardly begin', () => {
  const daily = 'diurnal: { peak_hour: 3, peak_to_trough: 4 }';

  test('a ramp down to nothing ends the arrivals, also beside a daily curve', () => {
    const ramp = 'ramp: { from: 2/s, to: 0/s, over: 100s }';
    const plain = instants(`{ constant: true, ${ramp} }`, ', sessions: 1000');
    // The hundredth falls on the very end.
    expect([100, 101]).toContain(plain.length);
    const curved = instants(`{ constant: true, ${ramp}, ${daily} }`, ', sessions: 1000');
    expect(curved.length).toBeGreaterThan(100);
    expect(Math.max(...curved)).toBeLessThanOrEqual(100_000);
  });

  test('once a millennium beside a daily curve is over when the time of the cohort is', () => {
    expect(instants(`{ poisson: { rate: 0.00000000003/s }, ${daily} }`, ', for: 10m')).toEqual([]);
  });

  test('a phase without length is none, and a first phase of silence puts off the first of even arrivals', () => {
    const phases = '[ { for: 0s, rate: 9/s }, { for: 4s, rate: 0/s }, { for: 2s, rate: 1/s } ]';
    expect(instants(`{ constant: true, phases: ${phases} }`)).toEqual([4000, 5000]);
  });

  test('a spike over the border of two phases multiplies both', () => {
    const phases = '[ { for: 10s, rate: 10/s }, { for: 10s, rate: 20/s } ]';
    const times = instants(`{ constant: true, phases: ${phases}, spike: { at: 8s, for: 4s, times: 3 } }`);
    expect([within(times, 8000, 10_000), within(times, 10_001, 12_000)]).toEqual([60, 120]);
  });

  test.each([
    'constant: { rate: 1/d }',
    'gamma: { rate: 1/d, cv: 10 }',
    'weibull: { rate: 1/d, shape: 0.05 }',
    'weibull: { rate: 1/d, cv: 0.01 }',
    `gamma: { rate: 1/h, cv: 0.01 }, ${daily}`,
  ])('%s: years of instants, finite and in order', process => {
    const times = instants(`{ ${process} }`, ', sessions: 3000');
    expect(times).toHaveLength(3000);
    expect(times.every(Number.isFinite)).toBe(true);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });
});
