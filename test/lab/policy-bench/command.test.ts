import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PolicyBenchResult } from '../../../scenarios/formats/policy-bench.ts';
import { workflowText } from '../../builders/scenarios.ts';
import { DEPLOYMENT } from '../../builders/worlds.ts';
import { emptyFolder, windtunnel, write } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => {
  const steps = '[ { llm: a, prefix: [system], adds: 100, out: 10 }, { llm: b, adds: 20, out: 5 } ]';
  const open = workflowText(steps, '', 20).replace('{ at_once: true }', '{ poisson: { rate: 2/s } }');
  write(folder, 's.yaml', open);
  write(folder, 'at-once.yaml', workflowText(steps, '', 20));
  write(folder, 'd.yaml', DEPLOYMENT('', undefined, 3));
  write(
    folder,
    'last.ts',
    `export default { name: 'last', doc: 'Takes the last row.', source: 'a test',
       create: () => ({ route: (_arrival: unknown, view: { replicas: string[] }) => view.replicas.length - 1 }) };`,
  );
});
const bench = (...args: string[]) => windtunnel(['bench-policies', ...args], folder);
const SMALL = [
  '-d',
  'd.yaml',
  '--loads',
  '0.5,1',
  '--seeds',
  '2',
  '--calls',
  '150',
  '--jobs',
  '1',
  '--quiet',
];

test('compares policies on the same plan, one of them from a file, and writes the folder', () => {
  const ran = bench('s.yaml', ...SMALL, '--policies', 'round-robin,./last.ts', '--out', 'out', '--json');
  expect(ran.err).toContain('report: ');
  expect(ran.code).toBe(0);
  const result = JSON.parse(ran.out) as PolicyBenchResult;
  expect(result).toMatchObject({
    kind: 'policy-bench',
    policyKind: 'routing',
    baseline: 'least-outstanding',
    seeds: [11, 12],
    runs: 12,
    loadRatios: [0.5, 1],
    leftOut: [],
  });
  expect(result.callsMin).toBeGreaterThanOrEqual(150);
  expect(result.curves.map(({ policy }) => policy).sort()).toEqual([
    './last.ts',
    'least-outstanding',
    'round-robin',
  ]);
  // One replica of three does all the work: nobody is slower.
  expect(result.curves.at(-1)!.policy).toBe('./last.ts');
  // The same calls, whoever routes them.
  for (const load of [0, 1])
    expect(new Set(result.curves.map(({ points }) => points[load]!.mean.calls)).size).toBe(1);
  expect(JSON.parse(readFileSync(join(folder, 'out', 'result.json'), 'utf8'))).toEqual(result);
  expect(
    readFileSync(join(folder, 'out', 'curves.csv'), 'utf8')
      .trim()
      .split('\n'),
  ).toHaveLength(7);
  expect(readFileSync(join(folder, 'out', 'report.html'), 'utf8')).toContain('At the knee');
  expect(readdirSync(join(folder, 'out', 'charts'))).toContain('goodput-against-load-dark.svg');
});

test('the other kinds run too, each against its own baseline', () => {
  const of = (kind: string, policy: string) => {
    const args = ['--kind', kind, '--policies', policy, '--loads', '1', '--out', kind, '--json'];
    const ran = bench('s.yaml', ...SMALL.slice(0, 2), ...SMALL.slice(4), ...args);
    expect(ran.code, ran.err).toBe(0);
    return JSON.parse(ran.out)
      .curves.map((curve: { policy: string }) => curve.policy)
      .sort();
  };
  expect(of('scheduling', 'plas')).toEqual(['fcfs', 'plas']);
  expect(of('admission', 'calls')).toEqual(['always', 'calls']);
  expect(of('retention', 'ttl')).toEqual(['lru', 'ttl']);
  expect(of('scaling', 'oracle')).toEqual(['fixed', 'oracle']);
});

test('bad input is refused before anything runs', () => {
  const refusals: [string[], RegExp][] = [
    [
      ['s.yaml', ...SMALL, '--policies', 'rond-robin'],
      /unknown policy "rond-robin"[\s\S]*did you mean "round-robin"/,
    ],
    [['s.yaml', ...SMALL, '--policies', './none.ts'], /there is no file "\.\/none\.ts"/],
    [['s.yaml', '-d', 'd.yaml', '--loads', 'much'], /"much" is no load/],
    [['s.yaml', '-d', 'd.yaml', '--seeds', '0'], /--seeds 0/],
    [['s.yaml', '-d', 'd.yaml', '--routing', 'random'], /--policies all,random/],
    [['at-once.yaml', ...SMALL], /starts at once, so there is no load to vary/],
  ];
  for (const [args, message] of refusals) {
    const ran = bench(...args);
    expect(ran.err).toMatch(message);
    expect(ran.code).toBe(104);
  }
  expect(existsSync(join(folder, 'windtunnel-runs'))).toBe(false);
});

test('a policy of ones own that throws is told, left out, and sets its exit code', () => {
  write(
    folder,
    'late.ts',
    `export default { name: 'late', doc: 'Throws on its fifth call.', source: 'a test',
       create: () => { let calls = 0; return { route: () => { if (++calls > 5) throw new Error('no more'); return 0; } }; } };`,
  );
  const ran = bench('s.yaml', ...SMALL, '--policies', './late.ts', '--out', 'late');
  expect(ran.out).toMatch(/not run: \.\/late\.ts: .*no more/);
  expect(ran.code).toBe(107);
});
