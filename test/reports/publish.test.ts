import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import yargs from 'yargs';
import { readResult, reportCommand } from '../../reports/command.ts';
import { totalMs } from '../../reports/critical-path.ts';
import { publish } from '../../reports/publish.ts';
import { summarise } from '../../reports/summary.ts';
import { terminalSummary } from '../../reports/terminal.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aRun } from '../builders/records.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'windtunnel-publish-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const rowsOf = async (file: string): Promise<Record<string, unknown>[]> =>
  parquetReadObjects({ file: await asyncBufferFromFile(file) });

const report = (...args: string[]) =>
  yargs(['report', ...args])
    .command(reportCommand(async output => output))
    .exitProcess(false)
    .fail(false)
    .parseAsync();

describe('publishing a run', () => {
  test('writes a folder whose Parquet rows are the records', async () => {
    const output = anAgentRun({ workflows: 12 });
    const out = join(folder, 'agents');
    const published = await publish(output, { out });
    expect((await readdir(out)).sort()).toEqual([
      'calls.parquet',
      'charts',
      'nodes.parquet',
      'report.html',
      'result.json',
      'spans.otlp.json',
      'timeline.parquet',
      'workflows.parquet',
    ]);
    expect(published).toMatchObject({ folder: out, exitCode: 0 });
    expect(await readResult(out)).toEqual(JSON.parse(JSON.stringify(published.result)));

    const calls = await rowsOf(join(out, 'calls.parquet'));
    const rows = calls.map(({ parts, misses, transfers, ...call }) => {
      expect([misses, transfers]).toEqual([null, null]);
      return { ...call, parts: JSON.parse(parts as string) };
    });
    expect(rows).toEqual(output.calls);
    expect(await rowsOf(join(out, 'nodes.parquet'))).toEqual(output.nodes);
    expect(await rowsOf(join(out, 'timeline.parquet'))).toEqual(output.timeline);
    const workflows = await rowsOf(join(out, 'workflows.parquet'));
    expect(workflows).toHaveLength(12);
    expect(workflows[0]).toHaveProperty('criticalDecodeMs');
    const sumMs = workflows.reduce(
      (sum, row) => sum + (row.status === 'completed' ? Number(row.criticalDecodeMs) : 0),
      0,
    );
    expect(sumMs).toBeCloseTo((published.result as RunResult).criticalPath.decodeMs, 3);
    expect(totalMs((published.result as RunResult).criticalPath)).toBeGreaterThan(sumMs);
  });

  test('of a governed run has its attempts and tools with what they cost, its spans and its audit log', async () => {
    const output = { ...aGovernedRun({ workflows: 12 }), audit: ['{"n":0}', '{"n":1}'] };
    const out = join(folder, 'governed');
    await publish(output, { out });
    const attempts = await rowsOf(join(out, 'attempts.parquet'));
    expect(attempts.map(({ usd: _, cacheWriteTokens, ...attempt }) => attempt)).toEqual(
      output.governed!.attempts,
    );
    const usd = attempts.reduce((sum, row) => sum + Number(row.usd), 0);
    const nanos = output.ledger!.attemptNanos.reduce((sum, each) => sum + each, 0);
    expect(Math.round(usd * 1e9)).toBe(nanos);
    expect(await rowsOf(join(out, 'tools.parquet'))).toEqual(output.governed!.tools);
    expect(await readFile(join(out, 'audit.jsonl'), 'utf8')).toBe('{"n":0}\n{"n":1}\n');
    const { resourceSpans } = JSON.parse(await readFile(join(out, 'spans.otlp.json'), 'utf8'));
    expect(resourceSpans[0].scopeSpans[0].spans.length).toBeGreaterThan(attempts.length);
  });

  test('keeps column types when nothing ran, and overwrites its own folder', async () => {
    const out = join(folder, 'empty');
    const empty = aRun({ calls: [], nodes: [], workflows: [], timeline: [], durationMs: 0 });
    await publish(empty, { out });
    await publish(empty, { out });
    expect(await rowsOf(join(out, 'calls.parquet'))).toEqual([]);
  });

  test('never writes among files that are not a run', async () => {
    await writeFile(join(folder, 'letter.txt'), 'dear');
    await expect(publish(aRun(), { out: folder })).rejects.toThrow(UserError);
    await expect(publish(aRun(), { out: join(folder, 'letter.txt') })).rejects.toThrow('is a file');
  });
});

describe('the report command', () => {
  test('rebuilds the page of one run, and puts several on one page', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    const one = join(folder, 'one');
    const two = join(folder, 'two');
    await publish(aRun(), { out: one });
    await publish(anAgentRun({ workflows: 9 }), { out: two });
    await rm(join(one, 'report.html'));
    await report(one);
    expect(await readFile(join(one, 'report.html'), 'utf8')).toContain('<!doctype html>');
    const page = join(folder, 'both', 'page.html');
    await report(one, two, '--out', page, '--json');
    expect(JSON.parse(log.mock.lastCall![0])).toMatchObject({ reportPath: page, runs: 2 });
    expect(await readFile(page, 'utf8')).toContain('id="run-select"');
    log.mockRestore();
  });

  test('says what to do about a folder that is no run', async () => {
    const wrong = report(join(folder, 'nowhere'));
    await expect(wrong).rejects.toThrow('no such folder');
    await expect(wrong).rejects.toHaveProperty('hint', expect.stringContaining('run printed'));
    await expect(report(folder)).rejects.toThrow('neither result.json nor validation.json');
  });
});

describe('the terminal summary', () => {
  const result = summarise(
    anAgentRun({
      workflows: 120,
      assertions: Array.from({ length: 12 }, (_, i) => ({
        text: `count(calls) > ${i * 100}`,
        subject: { kind: 'count', what: 'calls' },
        filter: {},
        op: '>',
        target: i * 100,
      })),
    }),
    () => 'x',
  );

  test('answers first, in at most 25 lines, and ends with the report', () => {
    const lines = terminalSummary(result, { colour: false, reportPath: 'runs/a/report.html' }).split('\n');
    expect(lines[0]).toMatch(/^✗ FAILED {2}three-agents @ 2x-h100/);
    expect(lines[1]).toContain('assertions failed');
    expect(lines.length).toBeLessThanOrEqual(25);
    expect(lines.at(-1)).toBe('report: runs/a/report.html');
    expect(lines.join('\n')).toMatch(/why: .+\n.*try: /);
  });

  test('says what the step times of a simulation rest on; a live run has none', () => {
    const told = (world: 'sim' | 'live'): string => {
      const evidence = ['main: 100 KV blocks, as given', 'main: step time: measured here'];
      return terminalSummary({ ...result, header: { ...result.header, world, evidence } }, { colour: false });
    };
    expect(told('sim')).toMatch(/evidence: main: step time: measured here$/m);
    expect(told('live')).not.toContain('evidence:');
  });

  test('has colour only when asked', () => {
    const escapeCode = String.fromCharCode(27);
    expect(terminalSummary(result, { colour: false })).not.toContain(escapeCode);
    expect(terminalSummary(result, { colour: true })).toContain(escapeCode);
  });
});
