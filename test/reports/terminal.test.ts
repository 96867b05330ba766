// The summary on a terminal: the answer first, why, what to try with its command, in 25 lines whatever there is to say.
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../reports/publish.ts';
import { summarise } from '../../reports/summary.ts';
import { terminalSummary } from '../../reports/terminal.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aMeasured } from '../builders/measured.ts';
import { aHeader, aSpan } from '../builders/records.ts';

const linesOf = (result: RunResult): string[] =>
  terminalSummary(result, { colour: false, reportPath: 'r/report.html' }).split('\n');

const run = aGovernedRun({ workflows: 60 });
const result = summarise(run, sha256);

describe('why and try', () => {
  test('are the sentences of result.json, the command on a line of its own', () => {
    const { verdict, suggestions } = result;
    const withCommand: RunResult = {
      ...result,
      suggestions: [{ text: 'two replicas', command: 'windtunnel simulate s -d d' }],
      verdict: { ...verdict, next: 'two replicas: windtunnel simulate s -d d' },
    };
    const lines = linesOf(withCommand);
    const at = lines.findIndex(line => line.startsWith('  why:'));
    expect(lines.slice(at, at + 3)).toEqual([
      `  why: ${verdict.why}`,
      '  try: two replicas',
      '       windtunnel simulate s -d d',
    ]);
    expect(suggestions!.length).toBeGreaterThan(0);
    expect(verdict.next).toContain(suggestions![0]!.text);
  });

  test('of a run that was interrupted say how to run it to the end', () => {
    const cut = summarise({ ...run, interrupted: true }, sha256);
    expect(linesOf(cut)).toContain(`  try: ${cut.verdict.next}`);
    expect(cut.verdict.next).toContain(cut.header.command);
  });
});

test('it is never longer than 25 lines, and ends with the report', () => {
  const sentence = 'something that the reader must know';
  const header = aHeader({
    evidence: Array.from({ length: 6 }, (_, i) => `pool ${i}: step time: physics`),
    warnings: Array(20).fill(sentence),
  });
  const moving = aSpan({ replica: 'main/1', askedMs: 5000, readyMs: 9000 });
  const assertions = Array.from({ length: 12 }, (_, i) => ({
    text: `max(e2e) < ${i}`,
    subject: { kind: 'max', metric: 'e2e' } as const,
    filter: {},
    op: '<' as const,
    target: i,
  }));
  const full = { ...run, header, assertions, replicas: [aSpan(), moving], measured: aMeasured() };
  const lines = linesOf(summarise(full, sha256));
  expect(lines).toHaveLength(25);
  expect(lines[0]).toContain('FAILED');
  expect(lines.at(-1)).toBe('report: r/report.html');
});
