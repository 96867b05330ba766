// `windtunnel import` and runs on a part of a trace, as a user types them.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { workflowText } from '../builders/scenarios.ts';
import { emptyFolder, ROOT, start, windtunnel, write } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => windtunnel(args, folder);

const trace = join(ROOT, 'scenarios/library/traces/claude-code-session.json');
const simulated = (...args: string[]): RunResult =>
  JSON.parse(run('simulate', ...args, '-d', '8xh200-mistral-small-4', '--json').out) as RunResult;

describe('import', () => {
  test('says in brief what the trace shows; --json holds the profile', () => {
    const { code, out } = run('import', trace);
    expect(code).toBe(0);
    expect(out).toMatch(/^weka: 1 session, 0 sub-agents, 8 calls\n {2}input {5}251667 tokens, output 3535\n/);
    for (const about of ['lengths', 'reuse', 'context', 'gaps', 'fan-out', 'arrivals'])
      expect(out).toMatch(new RegExp(`^ {2}${about} `, 'm'));
    const { totals, profile, selection } = JSON.parse(run('import', trace, '--json').out);
    expect(profile).toMatchObject({ sessions: 1, calls: totals.calls, promptTokens: totals.inputTokens });
    expect(selection).toEqual({
      window: null,
      longContexts: null,
      sample: null,
      gapCap: null,
      anonymized: null,
    });
  });

  test('writes the page, with the figures of a preset beside the trace', () => {
    const figures = '[ { of: tool_gap_s, p50: 9, source: a corpus, evidence: measured } ]';
    write(
      folder,
      'preset.yaml',
      `${workflowText('[ { llm: a, adds: 100, out: 10 } ]')}\nfigures: ${figures}\n`,
    );
    expect(run('import', trace, '--page', 'pages/t.html', '--preset', 'preset.yaml')).toMatchObject({
      code: 0,
      out: expect.stringContaining('page: pages/t.html'),
    });
    const page = readFileSync(join(folder, 'pages/t.html'), 'utf8');
    expect(page).toContain('Beside the preset preset.yaml');
    expect(page).not.toMatch(/<(script|link)[^>]+(src|href)="http/);
    write(folder, 'plain.yaml', workflowText('[ { llm: a, adds: 100, out: 10 } ]'));
    expect(run('import', trace, '--preset', 'plain.yaml')).toMatchObject({
      code: 104,
      err: expect.stringContaining('cites no figures'),
    });
  });

  test('a reader that closes the pipe, such as head, is no failure', async () => {
    const { child, ended } = start(['import', trace], folder);
    child.stdout.destroy();
    expect(await ended).toMatchObject({ code: 0, err: '' });
  });

  test('never writes over the trace', () => {
    write(folder, 'rows.jsonl', '{"timestamp":0,"input_length":9,"output_length":1}\n');
    for (const option of ['--out', '--page']) {
      expect(run('import', 'rows.jsonl', option, './rows.jsonl')).toMatchObject({
        code: 104,
        err: expect.stringContaining(`${option} ./rows.jsonl is the trace itself`),
      });
    }
    expect(readFileSync(join(folder, 'rows.jsonl'), 'utf8')).toMatch(/^{"timestamp"/);
  });

  test('says where sessions with and without a clock are mixed', () => {
    write(folder, 'timed.jsonl', '{"timestamp":0,"input_length":9,"output_length":1}\n');
    write(folder, 'lengths.csv', 'num_prefill_tokens,num_decode_tokens\n7,7\n8,8\n');
    const warnings = (...files: string[]): string =>
      JSON.parse(run('import', ...files, '--json').out).warnings.join('\n');
    expect(warnings('timed.jsonl', 'lengths.csv')).toMatch(/2 sessions have no recorded arrival/);
    expect(warnings('lengths.csv', 'timed.jsonl')).toMatch(
      /1 sessions have a recorded arrival, which is not used/,
    );
  });

  test('anonymised, quotes nothing of the trace in its JSON', () => {
    write(folder, 'secret-name.jsonl', '{"timestamp":0,"input_length":9}\n{"customer":"Ada"}\n');
    const { unreadable, warnings } = JSON.parse(
      run('import', 'secret-name.jsonl', '--anonymize', '--json').out,
    );
    expect(unreadable).toEqual([]);
    expect(warnings.join()).toMatch(/1 parts of the trace are unreadable/);
  });

  test('writes a plan that runs to the same digest as the trace', () => {
    expect(run('import', trace, '--out', 'whole.plan.jsonl').code).toBe(0);
    expect(simulated('whole.plan.jsonl').digest).toBe(simulated(trace).digest);
  });

  test('a plan that cannot be written whole leaves the old one and no other file', () => {
    write(folder, 'old.plan.jsonl', 'old');
    expect(run('import', trace, '--from', '9d', '--out', 'old.plan.jsonl')).toMatchObject({
      code: 104,
      err: expect.stringMatching(
        /no call of the trace starts between 777600 s and its end[\s\S]*start of each session/,
      ),
    });
    expect(readFileSync(join(folder, 'old.plan.jsonl'), 'utf8')).toBe('old');
    expect(readdirSync(folder).filter(name => name.endsWith('.partial'))).toEqual([]);
  });
});

test('a trace with a clock arrives as recorded, named directly or as a plan; --concurrent is a closed loop', () => {
  const rows = [0, 4000, 9000].map((timestamp, row) =>
    JSON.stringify({ timestamp, input_length: 600, output_length: 5, hash_ids: [0, row + 1] }),
  );
  write(folder, 'clocked.jsonl', rows.join('\n'));
  const whole = simulated('clocked.jsonl');
  expect(whole.durationMs).toBeGreaterThan(9000);
  expect(run('import', 'clocked.jsonl', '--out', 'clocked.plan.jsonl').code).toBe(0);
  expect(simulated('clocked.plan.jsonl').digest).toBe(whole.digest);
  expect(simulated('clocked.jsonl', '--concurrent', '1').durationMs).toBeLessThan(2000);
});

describe('a part of a trace', () => {
  test('cut, sampled and capped, is reported by import and warned of by a run', () => {
    const { selection, profile, totals } = JSON.parse(
      run('import', trace, '--from', '1m', '--gap-cap', '2s', '--json').out,
    );
    expect(selection.window).toMatchObject({ fromMs: 60_000, toMs: null, clock: 'session', sessionsCut: 1 });
    expect(selection.window.callsKept + selection.window.callsDropped).toBe(totals.calls);
    expect(selection.window.primedTokens).toBeGreaterThan(0);
    expect(profile.calls).toBe(selection.window.callsKept);
    const { counts, header } = simulated(trace, '--from', '1m', '--gap-cap', '2s');
    expect(counts.calls.ok).toBe(profile.calls);
    expect(header.warnings.join('\n')).toMatch(/cut to 60 s until the end of each session/);
    expect(header.warnings.join('\n')).toMatch(/the gap cap of 2 s shortens \d+ of \d+ gaps/);
  });

  test('anonymised, keeps no name of the trace in its plan, and runs as before', () => {
    expect(run('import', trace, '--anonymize', '--out', 'anon.plan.jsonl').code).toBe(0);
    const written = readFileSync(join(folder, 'anon.plan.jsonl'), 'utf8');
    expect(written).not.toMatch(/trace_0693|claude-code-session|library|weka/);
    const [whole, anonymous] = [simulated(trace), simulated('anon.plan.jsonl')];
    expect(anonymous.tokens).toEqual(whole.tokens);
    expect(anonymous.durationMs).toBe(whole.durationMs);
  });

  test('is no option of scenarios', () => {
    write(folder, 'chat.yaml', workflowText('[ { llm: a, adds: 100, out: 10 } ]'));
    expect(run('check', 'chat.yaml', '--from', '1m')).toMatchObject({
      code: 104,
      err: expect.stringContaining('windtunnel import TRACE'),
    });
  });
});
