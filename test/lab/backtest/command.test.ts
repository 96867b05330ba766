import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { experimentJson, stagedJson } from '../../builders/experiments.ts';
import { emptyFolder, windtunnel } from '../../cli/run.ts';

/** Two good experiments, one that lacks a figure, and a file that is no JSON. */
function measuredFolder(): string {
  const folder = emptyFolder();
  mkdirSync(join(folder, 'experiments'));
  const write = (name: string, text: string) =>
    writeFileSync(join(folder, 'experiments', `${name}.json`), text);
  write('loop', JSON.stringify(experimentJson('loop')));
  write('staged', JSON.stringify(stagedJson('staged')));
  const { hardware, ...lacking } = experimentJson('lacking');
  write('lacking', JSON.stringify({ ...lacking, hardware: { ...(hardware as object), hbmTBs: null } }));
  write('broken', '{');
  return folder;
}

test('predicts what it can, refuses the rest by name, and scores', () => {
  const folder = measuredFolder();
  const out = join(folder, 'new', 'predictions.json');
  const ran = windtunnel(['backtest', folder, '--out', out], folder);
  expect(ran.code).toBe(0);
  expect(ran.err).toMatch(/refused lacking: hardware\.hbmTBs/);
  expect(ran.err).toMatch(/refused broken: /);
  expect(ran.out).toMatch(/^2 of 2 runs predicted/);
  const predictions = JSON.parse(readFileSync(out, 'utf8'));
  expect(Object.keys(predictions).sort()).toEqual(['loop/c4', 'staged/all', 'staged/s0', 'staged/s1']);
  expect(Object.keys(predictions['staged/all']).sort()).toEqual([
    'e2e_mean_ms',
    'e2e_p50_ms',
    'e2e_p90_ms',
    'e2e_p99_ms',
    'throughput_out_tok_s',
    'tpot_mean_ms',
    'ttft_mean_ms',
    'ttft_p50_ms',
    'ttft_p90_ms',
    'ttft_p99_ms',
  ]);
});

test('--json is one document, of the experiments that were chosen', () => {
  const folder = measuredFolder();
  const ran = windtunnel(['backtest', folder, '--json', '--stages', '--experiment', 'staged'], folder);
  expect(ran.code).toBe(0);
  const document = JSON.parse(ran.out);
  expect(document).toMatchObject({ ok: true, refused: [], runs: 3, predicted: 3 });
  expect(document.families[0]).toMatchObject({ family: 'staged', metric: 'ttft_mean_ms', runs: 3 });
  expect(Object.keys(document.predictions)).toHaveLength(3);
});

test('a folder, a family or an experiment that is not there is bad input', () => {
  const folder = measuredFolder();
  for (const args of [['nowhere'], [folder, '--family', 'none'], [folder, '--experiment', 'none']]) {
    const ran = windtunnel(['backtest', ...args], folder);
    expect(ran.code).toBe(104);
    expect(ran.err).toMatch(/no such folder|has no experiment of none/);
  }
  const lacking = windtunnel(['backtest', folder, '--experiment', 'lacking'], folder);
  expect(lacking.code).toBe(104);
  expect(lacking.err).toMatch(/could be predicted/);
});
