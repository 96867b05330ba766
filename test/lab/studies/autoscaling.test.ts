// The judgement of the study of autoscaling: at equal GPU-hours, by hand; and worlds that are as claimed, or are not.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FAMILIES, FAMILY_NAMES } from '../../../lab/studies/autoscalers.ts';
import autoscaling, { moreMissed } from '../../../lab/studies/autoscaling.ts';
import { scalingPolicy } from '../../../sim/scaling/index.ts';
import { figuresOf } from '../../builders/figures.ts';
import { setup } from '../../builders/scaling.ts';

const MIN = 60_000;

describe('at equal GPU-hours', () => {
  const other = [
    { gpuHours: 10, missed: 0.4 },
    { gpuHours: 20, missed: 0.4 },
  ];

  test('each side has the best of its settings within the budget, over nine budgets of the common range', () => {
    const own = [
      { gpuHours: 10, missed: 0.5 },
      { gpuHours: 20, missed: 0.1 },
    ];
    // Eight budgets buy 0.5 against 0.4, the ninth 0.1 against 0.4.
    expect(moreMissed(own, other)).toBeCloseTo((8 * 0.1 - 0.3) / 9, 12);
    expect(moreMissed(own, own)).toBe(0);
  });

  test('who is dearer throughout is compared at its least', () => {
    expect(moreMissed([{ gpuHours: 30, missed: 0.1 }], other)).toBeCloseTo(-0.3, 12);
    expect(moreMissed([], other)).toBeNull();
  });
});

describe('its autoscalers', () => {
  const oracle = {
    demand: () => ({ calls: 1, promptTokens: 1, cachedTokens: 0, outputTokens: 1 }),
    heldTokens: () => 0,
  };

  test.each(FAMILY_NAMES)('%s has three settings that differ, and each can be made', name => {
    for (const traffic of ['day', 'bursts'] as const) {
      const settings = FAMILIES[name].settings(traffic, 70_000);
      expect(new Set(settings.map(setting => JSON.stringify(setting))).size).toBe(3);
      for (const { policy, options } of settings) scalingPolicy(policy).create(options, setup({ oracle }));
    }
  });

  test('the schedule asks a cold start before a burst, and has most at the peak of the day', () => {
    expect(FAMILIES.schedule.settings('bursts', 70_000)[2]!.options).toEqual({
      period: 20 * MIN,
      times: [
        { at: 10 * MIN - 85_000, replicas: 6 },
        { at: 14 * MIN, replicas: 2 },
      ],
    });
    const times = FAMILIES.schedule.settings('day', 0)[2]!.options.times as { replicas: number }[];
    // 0.55 a second, times 1 + 5/7 at the peak and 2/7 at night, over 0.22.
    expect(times[12]!.replicas).toBe(5);
    expect(times[0]!.replicas).toBe(1);
    expect(Math.max(...times.map(({ replicas }) => replicas))).toBe(5);
  });
});

describe('its claims', () => {
  type At = ReturnType<typeof autoscaling.cases>[number]['at'];
  /** All cost the same; so many workflows in a thousand are missed, and one more a seed. */
  const verdicts = (missed: (at: At) => number) =>
    Object.fromEntries(
      autoscaling
        .judge(
          autoscaling.cases({ isQuick: true }).map(({ at }) => {
            const bad = missed(at) + at.seed;
            return {
              at,
              figures: figuresOf({ sessions: 1000, goodSessions: 1000 - bad, sloRatio: 1 - bad / 1000 }),
            };
          }),
        )
        .claims.map(({ text, verdict }) => [text, verdict]),
    );

  test('a world as it is told is confirmed', () => {
    const told = verdicts(({ family, drain }) => {
      if (family === 'oracle') return 10;
      if (family === 'dynamo' || family === 'workflow-aware') return 20;
      return family === 'fixed' ? 500 : drain === 'calls' ? 480 : 450;
    });
    expect(new Set(Object.values(told))).toEqual(new Set(['confirmed']));
  });

  test('a world where everybody fares alike confirms none of them', () => {
    const alike = Object.values(verdicts(() => 100));
    expect(alike).not.toContain('confirmed');
  });

  test('HPA that is as good as foresight can react', () => {
    const quick = verdicts(({ family }) => (family === 'fixed' ? 500 : 10));
    expect(quick['HPA cannot react to a burst of seconds']).toBe('contradicted');
  });
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/autoscaling.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study autoscaling');
  const runs = autoscaling.cases({ isQuick: false }).map(({ at }) => ({ at, figures: figuresOf() }));
  for (const { text } of autoscaling.judge(runs).claims) expect(page).toContain(text);
});
