// A real vLLM on one core: calibrated in a minute and a half, then a scenario that it never saw is predicted at one level of load
// and replayed. The whole ladder is a command (docs/live/calibrate.md).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Calibration } from '../../lab/calibrate/calibration.ts';
import { hasVllm, startVllm, type Vllm } from '../builders/vllm.ts';
import { climb, ladderText } from '../ladder/ladder.ts';

describe.skipIf(!hasVllm)('vLLM on the CPU', () => {
  let vllm: Vllm;
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-calibrate-vllm-'));
  beforeAll(async () => {
    vllm = await startVllm();
  }, 600_000);
  afterAll(async () => {
    await vllm?.close();
    rmSync(folder, { recursive: true });
  });

  // Whoever uses the machine meanwhile is in the calibration: once more then.
  test('predicts what it never saw', { timeout: 900_000, retry: 1 }, () => {
    const rows = climb({
      url: vllm.url,
      folder,
      levels: [0.5],
      repeats: 2,
      sessions: 12,
      calibrate: ['--minutes', '1.4'],
      deployment: null,
      log: () => {},
    });
    const found = JSON.parse(readFileSync(join(folder, 'calibrated', 'result.json'), 'utf8')) as Calibration;
    expect(found.limits).toMatchObject({
      maxModelTokens: 4096,
      maxBatchedTokens: 1024,
      maxSequences: 32,
      blockTokens: 128,
      prefixCaching: true,
    });
    // Machines of CI are shared: the ladder on a quiet one judges at 10 %.
    for (const row of rows.filter(({ metric }) => metric.startsWith('mean')))
      expect(Math.abs(row.errorRatio), ladderText(rows, 2)).toBeLessThan(Math.max(0.35, 2 * row.noiseRatio));
  });
});
