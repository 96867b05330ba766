// Wall-clock texts, against the calendar of JavaScript.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utcMicros } from '../../../scenarios/importers/parts/clock.ts';

describe('utcMicros', () => {
  test('law: agrees with Date on every instant, in UTC whatever the zone of the machine', () => {
    const instants = fc.integer({ min: Date.UTC(1900, 0, 1), max: Date.UTC(2400, 0, 1) });
    fc.assert(
      fc.property(instants, unixMs => {
        const iso = new Date(unixMs).toISOString();
        expect(utcMicros(iso)).toBe(unixMs * 1000);
        expect(utcMicros(iso.replace('T', ' ').replace('Z', ''))).toBe(unixMs * 1000);
      }),
    );
  });

  test('seven digits are kept to the microsecond and rounded, never cut to milliseconds', () => {
    const second = Date.UTC(2023, 10, 16, 18, 17, 3) * 1000;
    expect(utcMicros('2023-11-16 18:17:03.9799600')).toBe(second + 979_960);
    expect(utcMicros('2023-11-16 18:17:03.0000015')).toBe(second + 2);
    expect(utcMicros('2023-11-16 18:17:03.0000014')).toBe(second + 1);
    expect(utcMicros('2023-11-16 18:17:03.9999999')).toBe(second + 1_000_000);
    expect(utcMicros('2023-11-16 18:17:03')).toBe(second);
  });

  test('a zone is applied', () => {
    const micros = Date.UTC(2024, 4, 10) * 1000;
    expect(utcMicros('2024-05-10 00:00:00.009930+00:00')).toBe(micros + 9930);
    expect(utcMicros('2024-05-10T02:00:00+02:00')).toBe(micros);
    expect(utcMicros('2024-05-09 18:30:00-0530')).toBe(micros);
  });

  test('what is no instant is null', () => {
    for (const text of ['', 'yesterday', '2023-02-29 00:00:00', '2023-13-01 00:00:00', '2023-01-01 24:00:00'])
      expect(utcMicros(text)).toBeNull();
    expect(utcMicros('2024-02-29 00:00:00')).toBe(Date.UTC(2024, 1, 29) * 1000);
  });
});
