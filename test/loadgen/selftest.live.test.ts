// The command as a user runs it: whatever this machine is worth, what it says and how it exits agree.
import { expect, test } from 'vitest';
import { emptyFolder, windtunnel } from '../cli/run.ts';

test('windtunnel selftest measures three loads, says what it is worth, and exits accordingly', () => {
  const { code, out, err } = windtunnel(['selftest', '--seconds', '10', '--json'], emptyFolder());
  const { limitStreams, measured, trusted, verdict, exitCode } = JSON.parse(out);
  expect(limitStreams).toBeGreaterThanOrEqual(5);
  expect(measured.map(({ streams }: { streams: number }) => streams)).toEqual(
    [0.25, 0.5, 0.75].map(share => Math.max(1, Math.round(limitStreams * share))),
  );
  for (const { own } of measured) {
    expect(own).toMatchObject({ failures: 0 });
    expect(own.chunks).toBe(own.calls * 50);
    expect(own.cpuMsPer1000Chunks).toBeGreaterThan(0);
  }
  expect(code).toBe(exitCode);
  expect(code).toBe(measured[0].problems.length === 0 ? 0 : 3);
  expect(trusted === null).toBe(code === 3);
  expect(verdict).toMatch(
    code === 0 ? /^This machine can be trusted with \d+ chunks\/s/ : /^Do not trust this machine/,
  );
  expect(err).toContain('limit of this machine');
  expect(err).toContain(verdict);
});
