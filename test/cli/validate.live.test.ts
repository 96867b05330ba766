// `validate` with repeats, and a record beside both worlds, on the emulator in processes of its own.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CallRecord } from '../../scenarios/formats/record.ts';
import type { ValidationResult } from '../../scenarios/formats/validation.ts';
import { workflowText } from '../builders/scenarios.ts';
import { emptyFolder, type Ran, start, write } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const CHAIN =
  '[ { llm: a, prefix: [system], adds: 200, out: 12 }, { llm: b, adds: =tokens(prev), out: 6 }, { llm: c, adds: 400, out: 30 } ]';
const D = `
windtunnel: 1
deployment: small
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 512, max_num_seqs: 64 }
    step: { model: affine, base: 4ms, per_token: 50us }
`;
beforeAll(() => {
  write(folder, 'chain.yaml', workflowText(CHAIN, '', 12));
  write(folder, 'd.yaml', D);
});

const validate = (...args: string[]): Promise<Ran> =>
  start(['validate', ...args, '-d', 'd.yaml', '--emulate', '--tolerance', '95%', '--quiet'], folder).ended;
const resultOf = (out: string): ValidationResult =>
  JSON.parse(readFileSync(join(folder, out, 'validation.json'), 'utf8')) as ValidationResult;

// Tried again where our own client lagged: nothing is said of that run.
test('repeats are runs of their own with the same calls, whose difference is the noise', {
  retry: 2,
}, async () => {
  const ran = await validate('chain.yaml', '--repeats', '2', '--out', 'twice');
  expect(ran.code, ran.out + ran.err).toBe(0);
  expect(ran.out).toMatch(/WITHIN TOLERANCE[\s\S]*Good for absolute numbers/);
  const { repeats, comparisons, verdict } = resultOf('twice');
  expect(repeats.map(each => each.folder)).toEqual(['live', 'live-2']);
  expect(verdict.fitness).toBe('absolute');
  const [comparison] = comparisons;
  // Content of their own: the second run finds in the cache what the first one found, and no more.
  for (const row of comparison!.rows.filter(({ unit }) => unit !== 'ms'))
    expect(row, row.metric).toMatchObject({ errorRatio: 0, noiseRatio: 0 });
  for (const row of comparison!.rows.filter(({ unit }) => unit === 'ms')) {
    expect(row.noiseRatio, row.metric).toBeGreaterThan(0);
    expect(row.ci95, row.metric).not.toBe(null);
  }
  expect(comparison!.groups.map(({ name }) => name)).toEqual(['all', 'a', 'b', 'c']);
  const callsOf = (run: string): string[] =>
    readFileSync(join(folder, 'twice', run, 'calls.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as CallRecord)
      .map(({ session, call, promptTokens }) => `${session} ${call} ${promptTokens}`)
      .sort();
  expect(callsOf('live-2')).toEqual(callsOf('live'));
  expect(existsSync(join(folder, 'twice/live-2/report.html'))).toBe(true);
});

test('a record stands beside both worlds: each is held against it, and one against the other', async () => {
  const trace = join(import.meta.dirname, '../../scenarios/library/traces/claude-code-session.json');
  const ran = await validate(trace, '--against', 'recorded', '--gap-cap', '50ms', '--out', 'record');
  expect([0, 99], ran.out + ran.err).toContain(ran.code);
  const { comparisons, live, warnings, repeats, verdict } = resultOf('record');
  // On a machine with much else to do our own client may lag: then the live run is told apart and left out.
  if (!repeats[0]!.valid) {
    expect(comparisons).toHaveLength(1);
    expect(verdict.reasons.join('\n')).toContain('left out as not valid: our client');
    return;
  }
  expect(comparisons.map(({ predicted, measured }) => [predicted, measured])).toEqual([
    ['sim', 'recorded'],
    ['live', 'recorded'],
    ['sim', 'live'],
  ]);
  expect(live?.header.world).toBe('live');
  expect(warnings.join('\n')).toContain('gaps are scaled or capped');
});
