// Recorded sessions under a gateway: none of their calls is a final one, and later prompts rest on earlier answers.
import { expect, test } from 'vitest';
import { textKey } from '../../scenarios/base/key.ts';
import type { RecordedOptions } from '../../scenarios/workflows/recorded.ts';
import { recordedProgram } from '../../scenarios/workflows/recorded.ts';
import { aRecordedCall, aRecordedSession } from '../builders/recorded.ts';
import { Driven } from '../builders/sessions.ts';

const options: RecordedOptions = {
  timing: 'causal',
  gapScale: 1,
  gapCapMs: Number.POSITIVE_INFINITY,
  scaleTokens: 1,
  warm: false,
  model: null,
};

/** Two calls at once, each with one behind it: `a/1` at once, `main/1` after a gap. */
const session = aRecordedSession({
  calls: [
    aRecordedCall({ id: 'main/0' }),
    aRecordedCall({ id: 'a/0', agent: 'a' }),
    aRecordedCall({ id: 'main/1', parents: ['main/0'], gapMs: 500, gapKind: 'tool' }),
    aRecordedCall({ id: 'a/1', agent: 'a', parents: ['a/0'] }),
    aRecordedCall({ id: 'main/2', parents: ['main/1', 'a/1'] }),
  ],
});
const drive = (): Driven => {
  const program = recordedProgram(session, options);
  return new Driven({ id: session.id, key: textKey('a test'), program }).start();
};

test('finalised, a recorded session makes no further call and ends well', () => {
  const driven = drive();
  driven.finish('main/0');
  driven.progress.finalize();
  driven.finish('a/0');
  expect(driven.live.map(({ path }) => path)).toEqual(['main/1/tool']);
  driven.endDelay('main/1/tool');
  expect(driven.dones).toMatchObject([{ status: 'completed' }]);
  expect(driven.ends()).toEqual([
    ['main/0', 'completed'],
    ['a/0', 'completed'],
    ['main/1/tool', 'completed'],
    ['main/1', 'skipped'],
    ['a/1', 'skipped'],
    ['main/2', 'skipped'],
  ]);
});

test('a recorded tool that fails after all ends its session', () => {
  const driven = drive();
  driven.finish('main/0');
  driven.endDelay('main/1/tool', 'timeout');
  expect(driven.dones).toEqual([{ kind: 'done', status: 'failed', error: 'timeout' }]);
  expect(driven.aborted.map(({ path }) => path)).toEqual(['a/0']);
  expect(driven.ends()).toContainEqual(['main/1', 'skipped']);
});

test('lost, it begins anew; a sub-agent of it is one deep, and no two of its calls ask the same', () => {
  const driven = drive();
  driven.finish('main/0');
  driven.restart(driven.nowMs);
  expect(driven.live.map(({ path }) => path)).toEqual(['main/0~2', 'a/0~2']);
  expect(driven.live.map(({ call }) => call?.agentDepth)).toEqual([0, 1]);
  while (driven.live[0] !== undefined) driven.finish(driven.live[0].path);
  expect(driven.dones).toMatchObject([{ status: 'completed' }]);
  const keys = new Map(
    driven.started.flatMap(({ call, path }) => (call === null ? [] : [[path.split('~')[0], call.argsKey]])),
  );
  expect(new Set([...keys.values()].map(key => `${key?.hi}.${key?.lo}`)).size).toBe(5);
});
