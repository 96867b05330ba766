// Inputs that travel: a worker without our disk computes what we compute, from files checked against their digests.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GridCase } from '../../../lab/grid/case.ts';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import { fromText, toText } from '../../../lab/queue/plain-text.ts';
import { planDigest } from '../../../lab/queue/plan-digest.ts';
import { Shipper } from '../../../lab/queue/ship.ts';
import { Unpacked } from '../../../lab/queue/unpack.ts';
import { loadScenario } from '../../../scenarios/cli/load.ts';
import { DEPLOYMENT } from '../../builders/worlds.ts';
import { emptyFolder, ROOT, windtunnel, write } from '../../cli/run.ts';

const folder = emptyFolder();
const elsewhere = emptyFolder();
const unpacked = new Unpacked();
afterAll(() => {
  for (const each of [folder, elsewhere]) rmSync(each, { recursive: true });
  unpacked.remove();
});

const BASE = `
windtunnel: 1
seed: 3
models: { m: { model: ministral-3-14b } }
workflows:
  main: { steps: [ { llm: a, adds: { empirical: { file: sizes.txt } }, out: 20 } ] }
traffic: [ { workflow: main, arrival: { poisson: { rate: 5/s } }, sessions: 20 } ]
`;
const session = (id: string, ms: number): string =>
  JSON.stringify({ session_id: id, timestamp: ms, input_length: 600, output_length: 30, hash_ids: [1, 2] });

beforeAll(() => {
  mkdirSync(join(folder, 'parts'));
  write(folder, 'parts/base.yaml', BASE);
  write(folder, 'parts/sizes.txt', '100\n200\n900\n');
  write(folder, 'extended.yaml', 'extends: parts/base.yaml\nseed: 9\n');
  write(folder, 'typed.ts', `export default ${JSON.stringify({ windtunnel: 1, ...traced('trace.jsonl') })};`);
  for (const [name, at] of [
    ['near', 'trace.jsonl'],
    ['up', `../${elsewhere.split('/').at(-1)}/far.jsonl`],
    ['absolute', join(elsewhere, 'far.jsonl')],
  ] as const)
    write(folder, `${name}.yaml`, JSON.stringify({ windtunnel: 1, ...traced(at) }));
  write(folder, 'trace.jsonl', `${session('a', 0)}\n${session('b', 900)}\n`);
  write(elsewhere, 'far.jsonl', `${session('c', 0)}\n${session('d', 100)}\n${session('e', 300)}\n`);
  write(folder, 'd.yaml', DEPLOYMENT('', undefined, 3, 'least-outstanding'));
});

const traced = (trace: string) => ({
  models: { m: { model: 'ministral-3-14b' } },
  traffic: [{ name: 't', trace, arrival: { recorded: true }, model: 'm' }],
});

const caseOf = (scenario: string, options: GridCase['scenario']['options'] = {}): GridCase => ({
  scenario: {
    input: scenario.includes('/') || !scenario.includes('.') ? scenario : join(folder, scenario),
    options,
  },
  deployment: { input: join(folder, 'd.yaml'), set: [] },
  loadFactor: 1,
});

/** As a worker gets it: through text, files through gzip. */
async function travelled(given: GridCase): Promise<GridCase> {
  const shipper = new Shipper();
  const { of, inputs } = fromText(toText(shipper.portable(given))) as ReturnType<Shipper['portable']>;
  await unpacked.add(inputs, async sha256 => gzipSync(shipper.bytesOf(sha256)));
  return unpacked.local(of);
}

describe('a case that travels', () => {
  test.each([
    ['with bases and measured values', 'extended.yaml', {}],
    ['whose seed is given', 'extended.yaml', { seed: 4 }],
    ['with a trace beside it', 'near.yaml', {}],
    ['with a trace in another folder', 'up.yaml', {}],
    ['with a trace named from the root', 'absolute.yaml', {}],
    ['with a trace that --set names', 'near.yaml', { set: ['traffic.0.trace=parts/../trace.jsonl'] }],
    ['written in TypeScript', 'typed.ts', {}],
    ['that is a trace', 'trace.jsonl', {}],
    ['of the library', 'job-scanner', { set: ['traffic.0.sessions=5'] }],
  ])('%s has the same plan and the same outcome', async (_what, scenario, options) => {
    const given = caseOf(scenario, options);
    const local = await travelled(given);
    const ours = await new CaseRunner().run(given);
    if (!ours.ok) throw new Error(ours.failure.message);
    expect(await new CaseRunner().run(local)).toEqual(ours);
    const digest = ({ scenario: { input, options: how } }: GridCase) => planDigest(loadScenario(input, how));
    expect(digest(local)).toBe(digest(given));
    expect(digest(local)).toMatch(/^[0-9a-f]{64}$/);
    // Nothing of ours is read.
    if (scenario.includes('.')) expect(local.scenario.input.startsWith(unpacked.folder)).toBe(true);
    for (const path of Object.values(local.scenario.options.traceFiles ?? {}))
      expect(path.startsWith(unpacked.folder)).toBe(true);
  });

  test('as a written plan, too', async () => {
    const { code, err } = windtunnel(['plan', 'extended.yaml', '--out', 'p.plan.jsonl'], folder);
    expect(err + code).toMatch(/0$/);
    const given = caseOf('p.plan.jsonl');
    const [there, here] = [
      await new CaseRunner().run(await travelled(given)),
      await new CaseRunner().run(given),
    ];
    expect(there).toEqual(here);
    expect(there.ok).toBe(true);
  });

  test('sends a file once for all cases that need it', () => {
    const shipper = new Shipper();
    const [a, b] = [1, 2].map(seed => shipper.portable(caseOf('near.yaml', { seed })));
    expect(a!.inputs).toEqual(b!.inputs);
    expect(a!.inputs.flatMap(({ files }) => files).map(({ path }) => path)).toEqual([
      'near.yaml',
      'trace-0/trace.jsonl',
      'd.yaml',
    ]);
  });

  test('takes measures of ours by name, and no other code', () => {
    const shipper = new Shipper();
    const ours = new URL(`file://${ROOT}/lab/compare/summary-measure.ts`).href;
    expect(shipper.portable({ ...caseOf('near.yaml'), measure: ours }).of.measure).toBe(
      'lab/compare/summary-measure.ts',
    );
    for (const measure of [
      'file:///tmp/mine-measure.ts',
      'data:text/javascript,1',
      `file://${ROOT}/windtunnel.ts`,
    ])
      expect(() => shipper.portable({ ...caseOf('near.yaml'), measure })).toThrow(/no code travels/);
    const change = { routing: { policy: './mine.ts', options: {} } };
    const given = caseOf('near.yaml');
    expect(() => shipper.portable({ ...given, deployment: { ...given.deployment, change } })).toThrow(
      /mine\.ts is code/,
    );
  });
});

describe('what a worker unpacks', () => {
  const content = Buffer.from('windtunnel: 1');
  const sha256 = 'c0ffee'.padEnd(64, '0');
  const id = '0123456789abcdef';

  test('is refused where its digest is another', async () => {
    const input = { id, files: [{ path: 'a.yaml', sha256, bytes: content.length }] };
    await expect(unpacked.add([input], async () => gzipSync(content))).rejects.toThrow(/has the digest/);
    await expect(unpacked.add([input], async () => null)).rejects.toThrow(/not at the queue/);
  });

  test('never lies outside of its folder', async () => {
    for (const path of ['../a', '/etc/a', 'a/../../b', 'a//b', '', 'a\\b', './a', 'run.ts', 'a/run.mjs'])
      await expect(
        unpacked.add([{ id, files: [{ path, sha256, bytes: 1 }] }], async () => gzipSync(content)),
      ).rejects.toThrow(/outside/);
    await expect(unpacked.add([{ id: '../../x', files: [] }], async () => null)).rejects.toThrow(/no input/);
    for (const input of ['/etc/passwd', './mine.yaml', 'package.json', join(folder, 'near.yaml')])
      expect(() => unpacked.local({ ...caseOf('near.yaml'), scenario: { input, options: {} } })).toThrow(
        /not shipped/,
      );
    const change = { routing: { policy: './mine.ts', options: {} } };
    expect(() => unpacked.local({ ...caseOf('near.yaml'), deployment: { input: 'x', change } })).toThrow(
      /named by a file/,
    );
    for (const input of ['shipped:../x', `shipped:${id}/../../x`])
      expect(() => unpacked.local({ ...caseOf('near.yaml'), scenario: { input, options: {} } })).toThrow(
        /no file/,
      );
  });

  test('is not more than was announced', async () => {
    const bomb = gzipSync(Buffer.alloc(1 << 20));
    const input = { id, files: [{ path: 'a', sha256, bytes: 10 }] };
    await expect(unpacked.add([input], async () => bomb)).rejects.toThrow(/larger than/i);
  });

  test('is not named in the words of a case that fails', async () => {
    write(folder, 'broken.yaml', 'windtunnel: 1\nworkflow: {}\n');
    const local = await travelled(caseOf('broken.yaml'));
    const outcome = unpacked.withoutFolder(await new CaseRunner().run(local));
    if (outcome.ok) throw new Error('it is broken');
    expect(outcome.failure.message).toContain('broken.yaml');
    expect(outcome.failure.message).not.toContain('windtunnel-worker-');
  });
});
