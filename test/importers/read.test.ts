// Reading traces from disk: files and folders, refusals, and the counts of the shared samples.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../scenarios/base/errors.ts';
import { readTrace } from '../../scenarios/importers/read.ts';

const root = new URL('../../', import.meta.url);
const at = (path: string): string => fileURLToPath(new URL(path, root)).replaceAll('\\', '/');
const fixture = (name: string): string => at(`test/fixtures/weka/${name}`);

function refusal(run: () => unknown): UserError {
  try {
    run();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('readTrace', () => {
  test('reads a folder by name, counts what is unreadable and renames repeated ids with their blocks', () => {
    const { sessions, report } = readTrace([at('test/fixtures/weka')]);
    expect(new Set(sessions.map(session => session.id)).size).toBe(sessions.length);
    const names = sessions.map(session => session.source.replace(/^.*\//, ''));
    expect(names).toEqual(names.toSorted());
    const again = sessions.filter(session => session.id.startsWith('first'));
    expect(again.map(session => session.blockScope)).toEqual(['weka/first', 'weka/first~2', 'weka/first~3']);
    expect(report.format).toBe('weka');
    expect(report.totals.sessions).toBe(sessions.length);
    expect(report.unreadable.map(part => part.where)).toContain(fixture('truncated.json'));
    expect(report.warnings.join('\n')).toMatch(/1 of 13 sessions are resumed.*--warm/);
  });

  test('refuses a missing path, a folder without traces and a trace with nothing readable', () => {
    expect(refusal(() => readTrace([at('nowhere.json')]))).toMatchObject({
      exitCode: 104,
      hint: expect.any(String),
    });
    expect(refusal(() => readTrace([at('test/importers')])).message).toMatch(/no \*\.json/);
    expect(refusal(() => readTrace([fixture('truncated.json')])).message).toMatch(
      /truncated\.json: not valid JSON/,
    );
    expect(refusal(() => readTrace([at('tsconfig.json')])).message).toMatch(/no importer recognises/);
  });

  test('with strict, the first unreadable part is an error that names file and row', () => {
    const error = refusal(() => readTrace([fixture('bad-rows.json')], { strict: true }));
    expect(error.message).toMatch(/bad-rows\.json, request 2: out is 0.*\(and 6 more\)/);
    expect(error.exitCode).toBe(104);
  });

  test('names formats that are known but not built', () => {
    const files = [fixture('resumed.json')];
    expect(refusal(() => readTrace(files, { format: 'blis' })).message).toBe(
      'format blis is known but its importer is not built yet',
    );
    expect(refusal(() => readTrace(files, { format: 'parchment' })).hint).toMatch(/weka/);
    expect(readTrace(files, { format: 'weka' }).sessions).toHaveLength(1);
  });

  test('reads the sample in the library', () => {
    const { report } = readTrace([at('scenarios/library/traces/claude-code-session.json')], { strict: true });
    expect(report.totals).toMatchObject({ sessions: 1, calls: 8, inputTokens: 251_667, outputTokens: 3535 });
  });
});

// Counted independently (EXPECTED.tsv beside the samples): an infinite cache, in file order.
const samples = '../shared/data/traces/weka-claude-code';
describe.skipIf(!existsSync(at(samples)))(
  'the shared Weka samples (skipped where ../shared is absent)',
  () => {
    test('flat: totals as expected', () => {
      const { report } = readTrace([at(`${samples}/flat`)], { strict: true });
      expect(report.subagents).toBe(0);
      expect(report.totals).toEqual({
        sessions: 17,
        calls: 209,
        inputTokens: 13_038_377,
        outputTokens: 149_748,
        hitBlocks: 181_497,
        hitTokens: 11_688_095,
      });
      expect(report.provenance.gap).toEqual({ recorded: 166, inferred: 43, defaulted: 0 });
    });

    test('subagents: totals as expected, and siblings start together', () => {
      const { sessions, report } = readTrace([at(`${samples}/subagents`)], { strict: true });
      expect(report.subagents).toBe(5);
      expect(report.totals).toEqual({
        sessions: 2,
        calls: 135,
        inputTokens: 8_995_395,
        outputTokens: 92_690,
        hitBlocks: 131_189,
        hitTokens: 8_458_161,
      });
      const firsts = sessions.map(session => session.calls.filter(call => /^agent_\d+\/0$/.test(call.id)));
      expect(firsts[0]!.map(call => call.recorded.startMs)).toEqual([78_257, 78_257, 78_257]);
      expect(firsts.flat().every(call => call.gapMs < 1000)).toBe(true);
    });

    test('tails and outputs add between 0.15 and 1.6 % of hit tokens', () => {
      for (const folder of ['flat', 'subagents']) {
        const { totals } = readTrace([at(`${samples}/${folder}`)]).report;
        const added = totals.hitTokens / (totals.hitBlocks * 64) - 1;
        expect(added).toBeGreaterThan(0.0015);
        expect(added).toBeLessThan(0.016);
      }
    });
  },
);
