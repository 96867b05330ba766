// Formats of lengths without content: Azure, Vidur, BurstGPT and LLMServingSim. One call per session, unless they say so.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { keyText } from '../../scenarios/base/key.ts';
import { azure } from '../../scenarios/importers/azure.ts';
import { burstgpt } from '../../scenarios/importers/burstgpt.ts';
import type { Importer } from '../../scenarios/importers/importer.ts';
import { llmservingsim } from '../../scenarios/importers/llmservingsim.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { vidur } from '../../scenarios/importers/vidur.ts';
import { contentOf } from '../../scenarios/workflows/recorded-content.ts';
import { importText } from '../builders/traces.ts';

const at = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
const imported = (importer: Importer, name: string) =>
  importText(importer, readFileSync(at(name), 'utf8'), name);

describe('azure', () => {
  const { sessions, tally } = imported(azure, 'azure/code-2023.csv');
  const calls = sessions.map(session => session.calls[0]!);

  test('timestamps of seven digits without a zone: arrivals to the microsecond, the clock in UTC', () => {
    expect(sessions.map(session => session.arrivalMs)).toEqual([0, 52.001, 52]);
    expect(tally.epochMs).toBe(Date.UTC(2023, 10, 16, 18, 17, 3) + 979.96);
  });

  test('one call per session, with a prompt of its own', () => {
    expect(sessions.map(session => session.id)).toEqual(['code-2023:2', 'code-2023:3', 'code-2023:4']);
    expect(calls.map(call => call.promptTokens)).toEqual([4808, 3180, 110]);
    const keys = sessions.flatMap(session =>
      contentOf(session)
        .get('main/0')!
        .prompt.map(run => keyText(run.key)),
    );
    expect(new Set(keys).size).toBe(3);
    expect(tally.notes.uniquePrompts).toBe(3);
    expect(tally.provenance).toMatchObject({
      arrival: { recorded: 3, inferred: 0, defaulted: 0 },
      session: { recorded: 0, inferred: 0, defaulted: 3 },
      blocks: { recorded: 0, inferred: 0, defaulted: 3 },
      model: { recorded: 0, inferred: 0, defaulted: 3 },
    });
  });

  test('an output of 0 tokens is one token, defaulted and counted', () => {
    expect(calls[2]!.outputTokens).toBe(1);
    expect(tally.notes.unknownOutputs).toBe(1);
    expect(tally.provenance.output).toEqual({ recorded: 2, inferred: 0, defaulted: 1 });
  });

  test('columns are found by name, so that NumImages in the middle moves nothing; calls with images are counted', () => {
    const { sessions, tally } = imported(azure, 'azure/lmm-2025.csv');
    expect(sessions.map(({ calls }) => [calls[0]!.promptTokens, calls[0]!.outputTokens])).toEqual([
      [843, 96],
      [1211, 54],
    ]);
    expect(tally.notes.imageCalls).toBe(1);
  });

  test('files of one trace share a clock, whichever of them begins first', () => {
    const { sessions, report } = readTrace([at('azure')]);
    expect(report.epochMs).toBe(Date.UTC(2023, 10, 16, 18, 17, 1));
    expect(sessions.map(session => session.arrivalMs)).toEqual([2979.96, 3031.961, 3031.96, 0, 4500]);
    expect(report.warnings.join()).not.toMatch(/before the first row/);
  });

  test('rows that are cut off, have another zone or no time are named with their line or read', () => {
    const text = [
      'GeneratedTokens,TIMESTAMP,ContextTokens',
      '10,2024-05-10 00:00:00.009930+00:00,7',
      '10,2024-05-10 00:00:01',
      '10,today,7',
      '10,2024-05-10 00:00:02.009930+00:00,7',
    ].join('\n');
    const { sessions, tally } = importText(azure, text, 'code.csv');
    expect(azure.detect(text, 'code.csv')).toBe(true);
    expect(sessions.map(session => session.arrivalMs)).toEqual([0, 2000]);
    expect(tally.unreadable).toEqual([
      { where: 'code.csv:3', why: '2 cells under 3 columns, perhaps cut off' },
      { where: 'code.csv:4', why: 'TIMESTAMP is "today", expected e.g. 2023-11-16 18:17:03.9799600' },
    ]);
  });
});

describe('vidur', () => {
  test('gives lengths and no arrivals', () => {
    const { sessions, tally } = imported(vidur, 'vidur/lengths.csv');
    expect(sessions.map(session => session.arrivalMs)).toEqual([null, null]);
    expect(tally.totals).toMatchObject({ sessions: 2, calls: 2, inputTokens: 5787, outputTokens: 210 });
    expect(tally.provenance.arrival).toEqual({ recorded: 0, inferred: 0, defaulted: 2 });
  });
});

describe('burstgpt', () => {
  test('v1 and v1.2 are read by column name, since v1.2 has two more in the middle', () => {
    for (const name of ['v1', 'v1.2']) {
      const { sessions, tally } = imported(burstgpt, `burstgpt/${name}.csv`);
      const first = sessions.flatMap(session => session.calls).find(call => call.promptTokens === 472)!;
      expect(first).toMatchObject({ outputTokens: 18, model: 'ChatGPT' });
      expect(tally.unreadable).toEqual([]);
    }
    expect(imported(burstgpt, 'burstgpt/v1.csv').sessions.map(({ arrivalMs }) => arrivalMs)).toEqual([
      0, 40_000,
    ]);
  });

  test('a figure that no clock shows is refused: infinite times would not end', () => {
    const head = 'Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens';
    const text = [head, '1e308,,1,a,7,7', '-1e308,,1,a,7,7', '5,,1e300,a,7,7', '6,,1,a,7,7'].join('\n');
    const { sessions, tally } = importText(burstgpt, text, 'far.csv');
    expect(sessions).toHaveLength(1);
    expect(tally.unreadable.map(({ where, why }) => [where, why])).toEqual([
      ['far.csv:2', 'Timestamp is 1e+308, which is no time or length of a trace'],
      ['far.csv:3', 'Timestamp is -1e+308, which is no time or length of a trace'],
      ['far.csv:4', 'Elapsed time is 1e+300, which is no time or length of a trace'],
    ]);
  });

  const { sessions, tally } = imported(burstgpt, 'burstgpt/v1.2.csv');

  test('a response of 0 tokens is a failed request, not an empty answer', () => {
    const failed = sessions.find(session => session.calls[0]!.recorded.error !== null)!;
    expect(failed.calls[0]).toMatchObject({
      outputTokens: 1,
      recorded: { error: 'no_response', e2eMs: 31_700 },
    });
    expect(tally.notes).toMatchObject({ failedCalls: 1 });
    expect(tally.notes.unknownOutputs).toBeUndefined();
  });

  test('requests of one conversation are one session, with the gap after the recorded end', () => {
    const chat = sessions.find(session => session.id === '1001')!;
    expect(chat.calls.map(call => call.promptTokens)).toEqual([472, 600]);
    expect(chat.calls[1]).toMatchObject({ gapMs: 57_590, gapProvenance: 'recorded' });
    expect(chat.calls[1]!.blocks.slice(0, 29)).toEqual(chat.calls[0]!.blocks);
  });
});

describe('llmservingsim', () => {
  const { sessions, tally } = imported(llmservingsim, 'llmservingsim/mixed.jsonl');

  test('single calls and sessions mix in one file; times are nanoseconds, read to the microsecond', () => {
    expect(sessions.map(({ id, arrivalMs }) => [id, arrivalMs])).toEqual([
      ['mixed:1', 0],
      ['task-0', 347.939],
      ['mixed:4', 1000],
    ]);
  });

  test('the tool time after a sub-request is the gap before the next', () => {
    const [first, second] = sessions[1]!.calls;
    expect(second).toMatchObject({
      parents: ['main/0'],
      gapMs: 127.349,
      gapKind: 'tool',
      gapProvenance: 'recorded',
    });
    expect(second!.blocks.slice(0, 10)).toEqual(first!.blocks);
  });

  test('a session with a bad part is left out whole', () => {
    expect(tally.unreadable).toEqual([
      {
        where: 'llmservingsim/mixed.jsonl:3',
        why: 'input_toks is -1, expected a whole number of tokens from 1 on',
      },
    ]);
  });
});
