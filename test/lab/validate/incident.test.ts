import { describe, expect, test } from 'vitest';
import { clockOf, incidentOf, riseOf } from '../../../lab/validate/incident.ts';
import type { SeriesPoint } from '../../../scenarios/formats/validation.ts';

const FIGURE = { metric: 'TTFT p95', unit: 'ms' as const, windowMs: 60_000 };
const points = (
  measured: (number | null)[],
  predicted: (number | null)[],
  live: (number | null)[] = [],
): SeriesPoint[] =>
  measured.map((value, i) => ({
    atMs: (i + 1) * 60_000,
    measured: value,
    predicted: predicted[i]!,
    live: live[i] ?? null,
  }));
// 14:00 UTC.
const clock = clockOf(Date.UTC(2026, 10, 21, 14), 7_200_000);
const judge = (...worlds: Parameters<typeof points>) => incidentOf(points(...worlds), FIGURE, clock);

const CALM = [400, 410, 390, 400, 420, 400];
const RISEN = [400, 410, 6000, 5800, 420, 400];

describe('an incident', () => {
  test('that both worlds show at one time and of one size was reproduced', () => {
    const { reproduced, sentence, measured } = judge(RISEN, [500, 500, 5600, 5500, 500, 500]);
    expect(reproduced).toBe('yes');
    expect(sentence).toBe(
      'yes: TTFT p95 rises from 410 ms to 6 s at 14:02 in both (simulated: from 500 ms to 5.6 s)',
    );
    expect(measured).toEqual({ usual: 410, peak: 6000, fromMs: 120_000, toMs: 240_000 });
  });

  test('that the simulation shows too small was reproduced in part', () => {
    expect(judge(RISEN, [500, 500, 2000, 2000, 500, 500])).toMatchObject({
      reproduced: 'partly',
      sentence:
        'partly: TTFT p95 rises at 14:02 in both, from 410 ms to 6 s in the record and from 500 ms to 2 s in the simulation',
    });
  });

  test('that the simulation does not show, or at another time, was not reproduced', () => {
    expect(judge(RISEN, CALM)).toMatchObject({
      reproduced: 'no',
      sentence:
        'no: TTFT p95 rises from 410 ms to 6 s at 14:02 in the record, and stays between 390 ms and 420 ms in the simulation',
    });
    const late = [...CALM, ...CALM, 6000, 6000];
    expect(judge([...RISEN, ...CALM, 400, 400], late).reproduced).toBe('no');
    expect(judge(CALM, RISEN)).toMatchObject({ reproduced: 'no', measured: null });
  });

  test('that never was is told as such', () => {
    expect(judge(CALM, CALM)).toMatchObject({ reproduced: 'nothing' });
    // Nor is one made of too few points, or of a tenth of a millisecond.
    expect(judge([400, 9000], [400, 9000]).reproduced).toBe('nothing');
    expect(riseOf(points([0.1, 0.1, 0.4, 0.1], CALM), 'measured', FIGURE)).toBe(null);
  });

  test('is looked for in the live run as well', () => {
    expect(judge(RISEN, RISEN, RISEN).sentence).toMatch(
      /; in the live run it rises from 410 ms to 6 s at 14:02$/,
    );
    expect(judge(RISEN, RISEN, CALM).sentence).toMatch(
      /; in the live run it stays between 390 ms and 420 ms$/,
    );
  });

  test('without a wall clock is told by the time of the run', () => {
    expect(clockOf(null, 60_000)(120_000)).toBe('2 min 00 s into the run');
    expect(clockOf(Date.UTC(2026, 10, 21, 14), 60_000)(5000)).toBe('14:00:05');
    expect(clockOf(Date.UTC(2026, 10, 21, 14), 2 * 86_400_000)(86_400_000)).toBe('2026-11-22 14:00 UTC');
  });
});
