import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { githubCommands } from '../../../reports/gate/github.ts';
import { REPORTERS } from '../../../reports/gate/index.ts';
import { junit } from '../../../reports/gate/junit.ts';
import { markdown } from '../../../reports/gate/markdown.ts';
import { type GateReport, sparkline } from '../../../reports/gate/report.ts';
import type { GateCheck } from '../../../scenarios/formats/comparison.ts';

const aCheck = (fields: Partial<GateCheck> = {}): GateCheck => ({
  name: 'makespan.p95',
  status: 'fail',
  text: 'workflow p95 regressed: +12 % [+9 %, +15 %], 8 s to 8.96 s',
  value: 8960,
  baseline: 8000,
  unit: 'ms',
  better: 'lower',
  changeRatio: 0.12,
  ci95: [0.09, 0.15],
  at: null,
  ...fields,
});

const aReport = (fields: Partial<GateReport> = {}): GateReport => ({
  name: 'research',
  what: 'research @ 2xh100, simulated',
  status: 'fail',
  headline: 'workflow p95 is 12 % slower',
  checks: [
    aCheck(),
    aCheck({ name: 'ttft.p95', status: 'pass' }),
    aCheck({ name: 'errors', status: 'info' }),
  ],
  drift: [{ label: 'workflow p95', unit: 'ms', means: [7900, 8000, null, 8960] }],
  warnings: [],
  command: 'windtunnel compare run --gate',
  toolVersion: '0.1.0',
  seed: 7,
  digest: 'ab'.repeat(32),
  ...fields,
});

const HOSTILE =
  '</testcase> & "x" <script>alert(1)</script> | ::error::x %0A @everyone \u0000\ud800 \n# head';
const hostile = aReport({
  name: HOSTILE,
  headline: HOSTILE,
  checks: [aCheck({ name: HOSTILE, text: HOSTILE, at: { file: 'a:b,c.yaml', line: 3, column: 5 } })],
  warnings: [HOSTILE],
  command: HOSTILE,
});

describe('JUnit', () => {
  test('has a case per check and counts what it holds', () => {
    const xml = junit(aReport());
    expect(xml).toContain(
      '<testsuite name="research" tests="3" failures="1" errors="0" skipped="1" time="0">',
    );
    expect(xml.match(/<testcase /g)).toHaveLength(3);
    expect(xml).toContain('<failure message="workflow p95 regressed: +12 % [+9 %, +15 %], 8 s to 8.96 s"');
    expect(xml).toContain('<property name="seed" value="7"/>');
  });

  test.skipIf(spawnSync('python3', ['-V']).status !== 0)('is XML whatever a name holds', () => {
    const script =
      'import sys,xml.etree.ElementTree as t\nr=t.fromstring(sys.stdin.buffer.read())\nprint(r.find(".//testcase").get("name"))';
    const { stdout, stderr, status } = spawnSync('python3', ['-c', script], {
      input: junit(hostile),
      encoding: 'utf8',
      env: { ...process.env, PYTHONIOENCODING: 'utf8' },
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout.trimEnd()).toBe(HOSTILE.replace('\u0000\ud800', '\ufffd\ufffd'));
  });
});

describe('Markdown', () => {
  test('begins with a marker, the answer, and what failed; the rest is folded', () => {
    const text = markdown(aReport());
    expect(text.split('\n').slice(0, 4)).toEqual([
      '<!-- windtunnel:research -->',
      '### windtunnel: ✗ failed',
      '',
      '**workflow p95 is 12 % slower**',
    ]);
    expect(text).toContain('| ✗ | makespan.p95 | 8 s | 8.96 s | +12 % [+9 %, +15 %] |');
    expect(text.indexOf('makespan.p95')).toBeLessThan(text.indexOf('<details>'));
    expect(text.indexOf('ttft.p95')).toBeGreaterThan(text.indexOf('<details>'));
    expect(text).toContain('over 3)');
  });

  test('obeys no text: no markup, no mention, one line a cell', () => {
    const text = markdown(hostile);
    expect(text).not.toMatch(/<script|@everyone|^# head/m);
    const rows = text.split('\n').filter(line => line.startsWith('| ✗'));
    expect(rows).toHaveLength(1);
    expect(rows[0]!.match(/(?<!\\)\|/g)).toHaveLength(6);
  });

  test('fits a comment, with what is open closed', () => {
    const text = markdown(
      aReport({
        checks: Array.from({ length: 3000 }, (_, i) => aCheck({ name: `figure ${i}`, status: 'info' })),
      }),
    );
    expect(text.length).toBeLessThanOrEqual(60_100);
    expect(text.match(/<details>/g)?.length).toBe(text.match(/<\/details>/g)?.length);
    expect(text).toContain('the report has the rest');
  });
});

describe('GitHub', () => {
  test('has an annotation per failure, escaped, beside the line that promises', () => {
    const [line] = githubCommands(hostile).split('\n');
    expect(line).toMatch(/^::error file=a%3Ab%2Cc\.yaml,line=3,col=5,title=windtunnel%3A /);
    expect(line).toContain('%0A# head');
    expect(
      githubCommands(hostile)
        .split('\n')
        .filter(each => each.startsWith('::error')),
    ).toHaveLength(1);
  });

  test('shows ten of a kind at most, and says how many are left', () => {
    const checks = Array.from({ length: 14 }, (_, i) => aCheck({ name: `figure ${i}` }));
    const errors = githubCommands(aReport({ checks }))
      .split('\n')
      .filter(line => line.startsWith('::error'));
    expect(errors).toHaveLength(10);
    expect(errors.at(-1)).toContain('5 more checks');
  });
});

test('figures for histories have the value, its direction, and half of the interval', () => {
  expect(JSON.parse(REPORTERS['benchmark-smaller'](aReport()))[0]).toEqual({
    name: 'research makespan.p95',
    unit: 'ms',
    value: 8960,
    range: '± 240',
    extra: '+12 % [+9 %, +15 %]',
  });
  expect(JSON.parse(REPORTERS['benchmark-bigger'](aReport()))).toEqual([]);
  expect(JSON.parse(REPORTERS.bencher(aReport())).research['makespan.p95']).toEqual({
    value: 8960,
    lower_value: 8720,
    upper_value: 9200,
  });
});

test('OpenMetrics is in seconds, and ends as it must', () => {
  const text = REPORTERS.openmetrics(hostile);
  expect(REPORTERS.openmetrics(aReport())).toContain(
    'windtunnel_figure{gate="research",figure="makespan.p95",unit="seconds"} 8.96\n',
  );
  expect(text.trimEnd().split('\n').at(-1)).toBe('# EOF');
  expect(text.split('\n').every(line => line === '' || /^(#|windtunnel_)/.test(line))).toBe(true);
});

test('a sparkline goes from the lowest block to the highest, with gaps', () => {
  expect(sparkline([1, null, 2, 8])).toBe('▁ ▂█');
  expect(sparkline([5, 5])).toBe('▄▄');
});
