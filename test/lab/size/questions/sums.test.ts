// The sums behind the questions, by hand.
import { describe, expect, test } from 'vitest';
import { marginOf, usedOf } from '../../../../lab/size/kept.ts';
import { crossingOf } from '../../../../lab/size/questions/break-even.ts';
import { monthlyGrowth, monthsUntil } from '../../../../lab/size/questions/growth.ts';
import { paysBelow } from '../../../../lab/size/questions/idle.ts';
import { failingOf } from '../../../../lab/size/questions/without.ts';
import { UserError } from '../../../../scenarios/base/errors.ts';
import type { Assertion } from '../../../../scenarios/formats/assertion.ts';
import { parseAssertion } from '../../../../scenarios/formats/assertions.ts';
import { askingOf } from '../../../builders/asking.ts';

describe('growth', () => {
  test('of a week, a month and a year is compound', () => {
    expect(monthlyGrowth('10%/month')).toBeCloseTo(0.1, 12);
    expect((1 + monthlyGrowth('100%/year')) ** 12).toBeCloseTo(2, 9);
    expect((1 + monthlyGrowth('1%/week')) ** 12).toBeCloseTo(1.01 ** (365.25 / 7), 9);
  });

  test('of 10 % a month doubles traffic in 7.27 months', () => {
    expect(monthsUntil(2, 0.1)).toBeCloseTo(7.2725, 4);
  });

  test.each(['10%', '0%/month', '-5%/month', 'fast', '10%/day', 'Infinity%/month'])('refuses %s', text => {
    expect(() => monthlyGrowth(text)).toThrow(UserError);
  });
});

describe('break-even', () => {
  test('of what costs 10 an hour against an API of 4 an hour at today’s traffic is at 2.5 times today’s', () => {
    expect(crossingOf(() => 10, 4, 8)).toBeCloseTo(2.5, 9);
  });

  test('is nowhere where all that is held still costs more', () => {
    expect(crossingOf(() => 10, 4, 2)).toBeNull();
  });

  test('knows costs that grow with traffic', () => {
    // 2 + f = 3 f at f = 1.
    expect(crossingOf(load => 2 + load, 3, 8)).toBeCloseTo(1, 9);
  });
});

describe('sleep', () => {
  const point = (workflowsPerHour: number, zeroUsdPerMonth: number) => ({
    workflowsPerHour,
    zeroUsdPerMonth,
    warmUsdPerMonth: 100,
    metRatio: 0,
    zeroMsP95: null,
    warmMsP95: null,
    keepsPromises: true,
  });

  test('pays up to where it saves a tenth, between the rates that were tried', () => {
    // Saved: 20 % at 10, 0 % at 1000; a tenth is half way, on a logarithmic scale.
    expect(paysBelow([point(1000, 100), point(10, 80)])).toBeCloseTo(100, 9);
  });

  test('has no such rate where it pays everywhere, or nowhere', () => {
    expect(paysBelow([point(1, 10), point(10, 50)])).toBeNull();
    expect(paysBelow([point(1, 95), point(10, 99)])).toBeNull();
  });
});

describe('a promise', () => {
  const of = (line: string): Assertion => parseAssertion(line, [], [])!;

  test('that must not be passed is used up as its value over the target', () => {
    expect(usedOf(of('p95(ttft) < 2s'), 500)).toBeCloseTo(0.25);
    expect(marginOf(of('p95(ttft) < 2s'), 3000)).toBeCloseTo(-0.5);
  });

  test('that must be reached, as its target over the value', () => {
    expect(usedOf(of('cache_hit(role=worker) > 60%'), 0.3)).toBeCloseTo(2);
    expect(marginOf(of('cache_hit(role=worker) > 60%'), 0.9)).toBeCloseTo(0.5);
  });

  test('of which nothing ran has neither', () => {
    expect(usedOf(of('p95(ttft) < 2s'), null)).toBeNull();
    expect(marginOf(of('p95(ttft) < 2s'), null)).toBe(0);
  });
});

describe('what fails', () => {
  const { deployment } = askingOf({ deployment: 'hybrid', scenario: 'hybrid-routing' });

  test('is a pool, some of its replicas, a provider, or all that stands in a place', () => {
    const eight = askingOf().deployment;
    expect(failingOf(eight, 'pools.main/3').replicas).toEqual([{ pool: 'main', count: 3 }]);
    expect(failingOf(eight, 'main').replicas).toEqual([{ pool: 'main', count: 8 }]);
    expect(failingOf(deployment, 'anthropic').providers).toEqual(['anthropic']);
    expect(failingOf(deployment, 'places.region').replicas).toEqual([{ pool: 'local', count: 1 }]);
    expect(failingOf(deployment, 'vendor').providers).toEqual(['anthropic']);
  });

  test('must be there', () => {
    expect(() => failingOf(deployment, 'pools.locl')).toThrow(UserError);
    expect(() => failingOf(deployment, 'pools.local/2')).toThrow('has 1 replica');
    expect(() => failingOf(deployment, 'local/x')).toThrow(UserError);
  });
});
