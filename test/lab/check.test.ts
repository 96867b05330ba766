// `check` as a command: what it prints of good files, of files with lints and of wrong ones, on a terminal of 80 columns
// too; and what it writes for programs.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { shapeText } from '../../lab/check-text.ts';
import { lint } from '../../lab/lint/index.ts';
import { offeredLoad } from '../../lab/lint/offered-load.ts';
import type { SarifLog } from '../../scenarios/formats/sarif.ts';
import { formatIssues } from '../../scenarios/formats/source.ts';
import { contextOf } from '../builders/lints.ts';
import { DEPLOYMENT } from '../builders/worlds.ts';
import { emptyFolder, windtunnel, write } from '../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => windtunnel(['check', ...args], folder);

/** A prefix in the wrong order, weights of 90 %, a hint that no run obeys yet. */
const LINTED = `windtunnel: 1
models: { local: { model: ministral-3-14b } }
prefixes: { system: { tokens: 2800 }, customer: { tokens: 900, scope: task } }
workflows:
  answer:
    description: short
    steps:
      - { llm: plan, role: planner, prefix: [customer, system], adds: { median: 200, p90: 900, max: 4000 }, out: 100 }
      - branch: hard
        cases:
          - { weight: 80%, steps: [ { llm: reply, role: final, out: 200 } ] }
          - { weight: 10%, steps: [ { llm: escalate, role: final, out: 20 } ] }
traffic:
  - { workflow: answer, arrival: { poisson: { rate: 0.2/s } }, sessions: 50, hints: { cache_ttl: 5m } }
`;
write(folder, 'linted.yaml', LINTED);
write(
  folder,
  'good.yaml',
  LINTED.replace(', hints: { cache_ttl: 5m }', '')
    .replace('[customer, system]', '[system, customer]')
    .replace('10%', '20%'),
);
write(folder, 'wrong.yaml', LINTED.replace('adds:', 'ads:'));
write(folder, 'd.yaml', DEPLOYMENT());

describe('warnings', () => {
  test('stand after the shape with place, frame and hint; the exit code is 0', () => {
    const { code, out, err } = run('linted.yaml');
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('2 calls expected');
    expect(out).toMatch(/linted\.yaml:8:46 {2}warning {2}WT2001 "customer"/);
    expect(out).toMatch(/linted\.yaml:10:9 {2}warning {2}WT2006 the weights sum to 90 %/);
    expect(out).toMatch(/linted\.yaml:14:\d+ {2}warning {2}WT1008 `hints\.cache_ttl`/);
    expect(out.indexOf('2 calls expected')).toBeLessThan(out.indexOf('WT1008'));
    expect(out.trimEnd().split('\n').at(-1)).toBe('3 warnings; for 1 of them a run refuses these files');
  });

  test('fail with --strict, and only warnings do', () => {
    expect(run('linted.yaml', '--strict')).toMatchObject({
      code: 104,
      out: expect.stringContaining('3 warnings'),
    });
    expect(run('good.yaml', '--strict')).toMatchObject({ code: 0, err: '' });
  });

  test('are in the JSON, which is good unless --strict', () => {
    const document = JSON.parse(run('linted.yaml', '--json').out);
    expect(document).toMatchObject({ ok: true, shapes: [{ workflow: 'answer', callsExpected: 2 }] });
    expect(
      document.issues.map((each: { code: string; line: number; severity: string }) => [
        each.code,
        each.line,
        each.severity,
      ]),
    ).toEqual([
      ['WT2001', 8, 'warning'],
      ['WT2006', 10, 'warning'],
      ['WT1008', 14, 'warning'],
    ]);
    const strict = run('linted.yaml', '--json', '--strict');
    expect([strict.code, JSON.parse(strict.out).ok]).toEqual([104, false]);
    expect(JSON.parse(run('good.yaml', '--json').out)).toMatchObject({ ok: true, issues: [], loads: null });
  });

  test('of a base that a file extends are told, but not its unused names', () => {
    write(folder, 'child.yaml', 'extends: linted.yaml\nprefixes: { spare: { tokens: 5 } }\n');
    const out = run('child.yaml').out;
    expect(out).toMatch(/linted\.yaml:8:46 {2}warning {2}WT2001/);
    expect(out).toMatch(/child\.yaml:2:13 {2}warning {2}WT2004/);
    write(
      folder,
      'other.yaml',
      'extends: linted.yaml\nworkflows: { answer: { steps: [ { llm: a, out: 5 } ] } }\n',
    );
    // Nothing uses the base's prefixes any more: its author's business.
    expect(run('other.yaml').out).not.toContain('WT2004');
  });
});

test('errors are all there is to say of wrong files', () => {
  const { code, out, err } = run('wrong.yaml');
  expect([code, out]).toEqual([104, '']);
  expect(err).toContain('WT1003 unknown key "ads"');
  expect(err).not.toContain('warning');
});

test('with a deployment the load of its pools is told', () => {
  const { out } = run('good.yaml', '-d', 'd.yaml');
  expect(out).toContain('fits test');
  expect(out).toMatch(
    /offered load\n {2}main +[\d.]+ % of what it can do with a full batch \(64 sequences\), at the peak of 0\.2\/s sessions/,
  );
  expect(JSON.parse(run('good.yaml', '-d', 'd.yaml', '--json').out).loads).toMatchObject([
    { pool: 'main', replicas: 1 },
  ]);
});

describe('--print-resolved', () => {
  test('prints the scenario as it will run, as YAML that says the same again', () => {
    const how = ['--set', 'params.postings=14', '--seed', '9'];
    write(
      folder,
      'extends.yaml',
      'extends: job-scanner\nparams: { companies: 5 }\nworkflows: { chat: null }\ntraffic: [ { workflow: scan, arrival: { at_once: true }, sessions: 2 } ]\n',
    );
    const first = run('extends.yaml', ...how, '--print-resolved');
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toMatch(/^windtunnel: 1\nname: extends\n/);
    expect(first.out).toContain('\nseed: 9\n');
    expect(first.out).toContain('  companies: 5\n  postings: 14\n');
    expect(first.out).not.toContain('extends:');
    expect(first.out).not.toContain('chat:');
    write(folder, 'resolved.yaml', first.out);
    expect(run('resolved.yaml', '--print-resolved').out).toBe(first.out);
    expect(run('resolved.yaml', '--json').out).toBe(run('extends.yaml', ...how, '--json').out);
  });

  test('is the only document on stdout', () => {
    expect(run('good.yaml', '--print-resolved', '--json')).toMatchObject({
      code: 104,
      err: expect.stringContaining('--json and --print-resolved both write to stdout'),
    });
    expect(run('wrong.yaml', '--print-resolved')).toMatchObject({ code: 104, out: '' });
  });
});

describe('--sarif', () => {
  const read = (name: string): SarifLog => JSON.parse(readFileSync(join(folder, name), 'utf8'));

  test('writes warnings of good files and errors of wrong ones', () => {
    expect(run('linted.yaml', '--sarif', 'warnings.sarif').code).toBe(0);
    const found = read('warnings.sarif').runs[0].results.map(({ ruleId, level }) => [ruleId, level]);
    expect(found.sort()).toEqual([
      ['WT1008', 'warning'],
      ['WT2001', 'warning'],
      ['WT2006', 'warning'],
    ]);
    expect(run('wrong.yaml', '--sarif', 'errors.sarif').code).toBe(104);
    expect(new Set(read('errors.sarif').runs[0].results.map(({ level }) => level))).toEqual(
      new Set(['error']),
    );
  });

  test('writes an empty list for files without a finding', () => {
    run('good.yaml', '--sarif', 'none.sarif');
    expect(read('none.sarif').runs[0].results).toEqual([]);
  });

  test('- is stdout, and words go to stderr', () => {
    const { out, err } = run('linted.yaml', '--sarif', '-');
    expect((JSON.parse(out) as SarifLog).version).toBe('2.1.0');
    expect(err).toContain('2 calls expected');
  });

  test('a file that cannot be written is told', () => {
    expect(run('good.yaml', '--sarif', 'no/such/folder.sarif')).toMatchObject({
      code: 104,
      err: expect.stringContaining('cannot write no/such/folder.sarif'),
    });
  });
});

test('nothing is wider than a terminal of 80 columns', () => {
  const { source, context } = contextOf(LINTED, DEPLOYMENT());
  const shape = shapeText({
    plan: context.plan,
    shapes: context.shapes,
    deployment: { name: 'test', loads: offeredLoad(context) },
    standIns: [],
    labels: ['idempotent', 'sensitivity', 'complexity'],
    width: 80,
  });
  const issues = formatIssues(lint(context), source, { colour: false, width: 80 });
  expect(issues).toContain('WT2001');
  for (const line of [...shape.split('\n'), ...issues.split('\n')])
    expect(line.length, line).toBeLessThanOrEqual(80);
  // The caret still stands under the words, though the line is cut.
  const rows = issues.split('\n');
  const caret = rows.find(row => row.includes('^^^^^^^^'))!;
  expect(rows[rows.indexOf(caret) - 1]!.slice(caret.indexOf('^'), caret.lastIndexOf('^') + 1)).toBe(
    'customer',
  );
});
