import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readResult } from '../../../reports/command.ts';
import { publishValidation, sha256 } from '../../../reports/publish.ts';
import { summarise } from '../../../reports/summary.ts';
import { validationSummary } from '../../../reports/terminal.ts';
import type { ValidationResult } from '../../../scenarios/formats/validation.ts';
import { anAgentRun } from '../../builders/agents.ts';
import { aValidation } from '../../builders/validations.ts';

const folder = mkdtempSync(join(tmpdir(), 'windtunnel-validation-'));
afterAll(() => rmSync(folder, { recursive: true }));

const sim = summarise(anAgentRun({ workflows: 60 }), sha256);
const live = summarise(anAgentRun({ workflows: 60, world: 'live', slowdown: 1.05 }), sha256);
const validation = aValidation({ sim, live });
const notValid: ValidationResult = {
  ...validation,
  comparisons: [],
  series: [],
  verdict: { fitness: 'not-valid', headline: 'Not valid: our client sent late', reasons: [] },
  pass: false,
};

describe('a published validation', () => {
  test.each([
    ['passed', { ...validation, pass: true }, 0],
    ['out-of-tolerance', { ...validation, pass: false }, 99],
    ['not-valid', notValid, 3],
  ])('that is %s asks for its exit code, and can be read again', async (name, input, code) => {
    const out = join(folder, name);
    const published = await publishValidation(input, { out });
    expect(published.exitCode).toBe(code);
    expect(await readResult(out)).toEqual(JSON.parse(readFileSync(join(out, 'validation.json'), 'utf8')));
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain(input.verdict.headline.slice(0, 20));
  });

  test('of an older schema is refused', async () => {
    const out = join(folder, 'old');
    await publishValidation({ ...validation, schemaVersion: 1 }, { out });
    await expect(readResult(out)).rejects.toThrow('schema version 1');
  });

  test('without a live run has the simulated run alone', async () => {
    const out = join(folder, 'alone');
    const { reportPath } = await publishValidation({ ...validation, live: null, repeats: [] }, { out });
    const text = readFileSync(reportPath, 'utf8');
    expect(text).toContain(', simulated');
    expect(text).not.toContain(', measured live');
  });
});

test('the terminal says what it is good for, then each judged figure with its noise, then why', () => {
  const lines = validationSummary(validation, { colour: false, reportPath: 'runs/a/report.html' }).split(
    '\n',
  );
  expect(lines[0]).toMatch(/^✗ OUT OF TOLERANCE {2}three-agents @ 2x-h100/);
  expect(lines[1]).toMatch(/^ {2}Yes: TTFT p95 rises .*\. Good for ranking, not for absolute numbers: /);
  expect(lines[2]).toMatch(/simulated +live +error +repeats +may be off by/);
  expect(lines.join('\n')).toMatch(/✗ mean TTFT .* −4/);
  expect(lines.at(-1)).toBe('report: runs/a/report.html');
  expect(lines.length).toBeLessThanOrEqual(30);
});
