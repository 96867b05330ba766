// Exports for other tools, read back by our own importers: the same calls, tokens and dependencies.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { prepare } from '../../../engines/prepare.ts';
import { aiperf } from '../../../loadgen/export/aiperf.ts';
import type { Exported, Exporter } from '../../../loadgen/export/exporter.ts';
import { mooncake } from '../../../loadgen/export/mooncake.ts';
import { commonTokens } from '../../../scenarios/formats/prompt.ts';
import type { RecordedSession } from '../../../scenarios/formats/recorded.ts';
import { readTrace } from '../../../scenarios/importers/read.ts';
import { recordedProgram } from '../../../scenarios/workflows/recorded.ts';
import { walk } from '../../../scenarios/workflows/walk.ts';
import { firstSession, planOf, sessionsOf, workflowText } from '../../builders/scenarios.ts';
import { deploymentOf } from '../../builders/worlds.ts';
import { LIVE_DEPLOYMENT } from '../k6/ideal.ts';

function written(
  exporter: Exporter,
  text: string,
): Exported & { session: (name: string) => RecordedSession[] } {
  const plan = planOf(text);
  const deployment = deploymentOf(LIVE_DEPLOYMENT());
  const { poolOf } = prepare(plan, deployment);
  const exported = exporter.export({ plan, deployment, poolOf, sessionsMax: null, options: {} });
  return {
    ...exported,
    session: name => {
      const path = join(mkdtempSync(join(tmpdir(), 'windtunnel-export-')), name);
      writeFileSync(path, [...exported.files.find(file => file.name === name)!.text].join(''));
      const { sessions, report } = readTrace([path]);
      expect(report.unreadable).toEqual([]);
      expect(report.format).toBe(exporter.name);
      return sessions;
    },
  };
}

/** What its calls are, and after which of them each starts. */
function shapeOf({ calls }: RecordedSession): string[] {
  const nameOf = new Map(
    calls.map(({ id, promptTokens, outputTokens }) => [id, `${promptTokens}>${outputTokens}`]),
  );
  return calls
    .map(({ id, parents, gapMs }) => {
      const after = parents.map(parent => nameOf.get(parent)).sort();
      return `${nameOf.get(id)} +${Math.round(gapMs)} after ${after.join(' ')}`;
    })
    .sort();
}

const CHAIN =
  '[ { llm: a, prefix: [system, mine], adds: 20, out: 10 }, { wait: 400ms }, { llm: b, adds: 30, out: 5 }, { repeat: r, times: 2, steps: [ { llm: c, adds: 7, out: 6 } ] } ]';

describe('aiperf', () => {
  test('a chain is one conversation, whose turns say what is new', () => {
    const { session, files } = written(aiperf, workflowText(CHAIN));
    expect(shapeOf(session('conversations.jsonl')[0]!)).toEqual([
      '170>10 +0 after ',
      '210>5 +400 after 170>10',
      '222>6 +0 after 210>5',
      '235>6 +0 after 222>6',
    ]);
    const [line] = JSON.parse(`[${[...files[0]!.text].join(',')}]`);
    expect(line.turns).toHaveLength(4);
    expect(line.turns[0].messages.map((message: { role: string }) => message.role)).toEqual([
      'system',
      'user',
    ]);
    expect(line.turns[1].messages).toHaveLength(1);
    expect(line.context_mode).toBeUndefined();
  });

  test('branches between two calls are spawned by the one and joined by the other', () => {
    const steps =
      '[ { llm: plan, prefix: [system], adds: 20, out: 10 }, { map: m, over: 3, steps: [ { llm: look, adds: 8, out: 4 }, { wait: 100ms }, { llm: deeper, adds: 9, out: 3 } ] }, { llm: merge, adds: 5, out: 7 } ]';
    const { session, files } = written(aiperf, workflowText(steps));
    const shape = shapeOf(session('conversations.jsonl')[0]!);
    const look = '138>4 +0 after 120>10';
    expect(shape.filter(each => each === look)).toHaveLength(3);
    expect(shape.filter(each => each === '151>3 +100 after 138>4')).toHaveLength(3);
    const merge = shape.find(each => each.includes('>7'))!;
    expect(merge.endsWith('after 120>10 151>3 151>3 151>3')).toBe(true);
    expect([...files[0]!.text]).toHaveLength(4);
  });

  test('a session that begins with branches is an orchestrator with rounds', () => {
    const steps =
      '[ { parallel: p, branches: [ [ { llm: a, adds: 8, out: 4 } ], [ { llm: b, adds: 9, out: 3 } ] ] }, { wait: 250ms }, { llm: c, adds: 11, out: 2 } ]';
    const { session } = written(aiperf, workflowText(steps));
    expect(shapeOf(session('conversations.jsonl')[0]!)).toEqual([
      '11>2 +250 after 8>4 9>3',
      '8>4 +0 after ',
      '9>3 +0 after ',
    ]);
  });

  test('reasoning leaves the context: each turn then holds its whole prompt', () => {
    const steps = '[ { llm: a, adds: 20, out: 10, reasoning: 6 }, { llm: b, adds: 5, out: 4 } ]';
    const { session, files } = written(aiperf, workflowText(steps));
    expect([...files[0]!.text][0]).toContain('message_array_with_responses');
    expect(shapeOf(session('conversations.jsonl')[0]!)).toEqual(['20>16 +0 after ', '35>4 +0 after 20>16']);
  });

  test('shared prefixes are the same text in every session', () => {
    const { session } = written(aiperf, workflowText(CHAIN, '', 3));
    const [one, two] = session('conversations.jsonl');
    const shared = (calls: RecordedSession['calls']) => calls[0]!.blocks.slice(0, 6);
    expect(shared(one!.calls)).toEqual(shared(two!.calls));
    expect(one!.calls[0]!.blocks).not.toEqual(two!.calls[0]!.blocks);
  });

  test('what it cannot say is counted', () => {
    const steps =
      '[ { llm: a, adds: 8, out: 4 }, { parallel: p, join: any, branches: [ [ { llm: b, adds: 8, out: 4 } ], [ { llm: c, adds: 8, out: 4 } ] ] }, { llm: d, adds: 8, out: 4 } ]';
    const { lost } = written(aiperf, workflowText(steps, '', 2));
    expect(lost).toContain('joins that do not wait for all branches (2)');
    expect(lost.some(each => each.startsWith('planned starts'))).toBe(true);
  });
});

describe('mooncake', () => {
  test('a chain keeps its calls and tokens, and its session', () => {
    const { session } = written(mooncake, workflowText(CHAIN, '', 2));
    const sessions = session('trace.jsonl');
    expect(sessions.map(({ id }) => id)).toEqual(['main/0', 'main/1']);
    for (const { calls } of sessions)
      expect(calls.map(call => [call.promptTokens, call.outputTokens])).toEqual([
        [170, 10],
        [210, 5],
        [222, 6],
        [235, 6],
      ]);
  });

  test('prompts share the blocks that the plan shares', () => {
    const long = CHAIN.replace('adds: 20', 'adds: 1500').replace('adds: 30', 'adds: 900');
    const text = workflowText(long, '', 2).replace('tokens: 100', 'tokens: 1100');
    const { session } = written(mooncake, text);
    const plan = planOf(text);
    const calls = session('trace.jsonl').flatMap(each => each.calls);
    const planned = sessionsOf(plan).flatMap(each => walk(each).calls);
    const common = (a: readonly number[], b: readonly number[]) => a.findIndex((id, at) => id !== b[at]);
    for (const [row, call] of calls.entries())
      for (const [other, before] of calls.slice(0, row).entries()) {
        const tokens = commonTokens(planned[row]!.prompt, planned[other]!.prompt);
        const blocks = common(call.blocks, before.blocks);
        expect(blocks, `${row} and ${other}`).toBe(Math.floor(tokens / 512));
      }
  });

  test('calls at once have no session, and times of a run without load', () => {
    const steps =
      '[ { llm: plan, adds: 600, out: 10 }, { map: m, over: 3, steps: [ { llm: look, adds: 8, out: 4 } ] } ]';
    const { files, lost } = written(mooncake, workflowText(steps));
    const rows = [...files[0]!.text].map(line => JSON.parse(line));
    expect(rows.map(({ session_id }) => session_id)).toEqual([undefined, undefined, undefined, undefined]);
    // 600 tokens are two steps of the budget of 512: 4 ms + 20 us a token each; then 9 steps of 4.02 ms; and the way there.
    const front = deploymentOf(LIVE_DEPLOYMENT()).pools[0]!.frontEnd;
    const unloaded = 2 * 4 + 600 * 0.02 + 9 * 4.02 + front.ms + 600 * front.msPerToken;
    expect(rows[0].timestamp).toBe(0);
    for (const row of rows.slice(1)) expect(row.timestamp).toBeCloseTo(unloaded, 1);
    expect(lost).toContain('sessions with calls at once have no session_id: 1 of 1');
  });
});

test('a recorded session that is a chain goes to aiperf and back', () => {
  const { session } = written(aiperf, workflowText(CHAIN));
  const [recorded] = session('conversations.jsonl');
  const program = recordedProgram(recorded!, {
    timing: 'causal',
    gapScale: 1,
    gapCapMs: Number.POSITIVE_INFINITY,
    scaleTokens: 1,
    warm: false,
    model: null,
  });
  const planned = { ...firstSession(planOf(workflowText(CHAIN))), program };
  expect(walk(planned).calls.map(({ promptTokens }) => promptTokens)).toEqual([170, 210, 222, 235]);
  expect(program.waitsFor).toEqual([[], [0], [1], [2]]);
});
