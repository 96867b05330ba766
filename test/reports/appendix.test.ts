// Accuracy and appendix: what the page says of trust, errors, inputs and method, with hostile names inert.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { residualsOf } from '../../lab/validate/residuals.ts';
import { isAbsent } from '../../reports/charts/chart.ts';
import { qqChart } from '../../reports/charts/qq.ts';
import { residualsChart } from '../../reports/charts/residuals.ts';
import { html } from '../../reports/html.ts';
import { withInputs } from '../../reports/inputs.ts';
import { biasOf, evidenceSection, trustSection } from '../../reports/page/accuracy.ts';
import { errorSection, inputSection, methodSection } from '../../reports/page/appendix.ts';
import { frontierSection } from '../../reports/page/frontier.ts';
import type { View } from '../../reports/page/view.ts';
import { toSvg } from '../../reports/render.ts';
import { summarise } from '../../reports/summary.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { INPUTS_SCHEMA_VERSION, type StoredInputs } from '../../scenarios/formats/stored-inputs.ts';
import type { ValidationResult } from '../../scenarios/formats/validation.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aCall, aHeader, aRun } from '../builders/records.ts';
import { aValidation } from '../builders/validations.ts';

const EVIL = '</script><img src=x onerror=alert(1)>';
const resultOf = (output: RunOutput): RunResult => summarise(output, () => 'digest');

const aView = (runs: readonly RunResult[], at = 0, validation: ValidationResult | null = null): View => ({
  run: { ...runs[at]! },
  runs,
  names: runs.map((_, i) => `run ${i}`),
  validation,
  comparison: null,
  chart: id => html`<i>${id}</i>`,
  draw: chart => html`<i>${chart.id}</i>`,
});
const textOf = (section: (view: View) => ReturnType<typeof errorSection>, view: View): string =>
  section(view)?.text ?? '';

const someInputs = (
  fields: { scenario?: unknown; deployment?: unknown; name?: string } = {},
): StoredInputs => ({
  schemaVersion: INPUTS_SCHEMA_VERSION,
  kind: 'inputs',
  scenario: {
    name: fields.name ?? 'chat',
    sha256: JSON.stringify(fields.scenario ?? null),
    kind: 'scenario',
    value: fields.scenario ?? { traffic: [{ workflow: 'chat' }] },
    problem: null,
    input: 'chat.yaml',
  },
  deployment: {
    name: 'one-gpu',
    sha256: JSON.stringify(fields.deployment ?? null),
    value: fields.deployment ?? { pools: { main: { gpu: 'h100' } } },
    models: [],
    input: 'one-gpu.yaml',
  },
  seed: 7,
  routing: null,
});

describe('errors', () => {
  test('have a row by error, step and pool, with the first session, and a link where it is drawn', () => {
    const failed = resultOf(aRun({ calls: [aCall({ outcome: 'error', error: 'http_429' })], workflows: [] }));
    expect(textOf(errorSection, aView([failed]))).toContain('<td><code>s0</code></td>');
    const drawn = { ...failed, exemplars: [{ session: 's0' } as RunResult['exemplars'][number]] };
    expect(textOf(errorSection, aView([drawn]))).toContain(
      '<a href="#run=0&workflow=s0"><code>s0</code></a>',
    );
    expect(errorSection(aView([resultOf(aRun())]))).toBeNull();
  });

  test('keep markup in names as text', () => {
    const hostile = resultOf(
      aRun({ calls: [aCall({ outcome: 'error', error: EVIL, step: EVIL, pool: EVIL, session: EVIL })] }),
    );
    const inputs = someInputs({ scenario: { note: EVIL }, deployment: { note: EVIL }, name: EVIL });
    const view = aView([{ ...hostile, inputs, header: aHeader({ evidence: [EVIL], command: EVIL }) }]);
    for (const section of [errorSection, inputSection, methodSection, evidenceSection, frontierSection])
      expect(textOf(section, view)).not.toContain('<img');
    expect(textOf(errorSection, view)).toContain('&lt;img');
    expect(textOf(inputSection, view)).toContain('&lt;img');
  });
});

describe('what a run was made of', () => {
  test('is shown as YAML, once where runs share it', () => {
    const run = { ...resultOf(aRun()), inputs: someInputs() };
    const other = { ...resultOf(aRun()), inputs: someInputs({ scenario: { traffic: [] } }) };
    const first = textOf(inputSection, aView([run, other]));
    expect(first).toContain('gpu: h100');
    const second = textOf(inputSection, aView([run, other], 1));
    expect(second).toContain('traffic: []');
    expect(second).toContain('Deployment: the same as of run 0');
    expect(second).not.toContain('gpu: h100');
  });

  test('stays within 60 kB on a page of any number of runs, and says that it is cut', () => {
    const long = { lines: Array.from({ length: 20_000 }, (_, i) => `line ${i}`) };
    const runs = Array.from({ length: 10 }, (_, i) => ({
      ...resultOf(aRun()),
      inputs: someInputs({ scenario: { ...long, i }, deployment: { ...long, at: i } }),
    }));
    const texts = runs.map((_, i) => textOf(inputSection, aView(runs, i)));
    expect(texts.join('').length).toBeLessThan(70_000);
    expect(texts[9]).toContain('Cut after');
    expect(texts[9]).toContain('inputs.json');
  });

  test('comes from inputs.json of the folder; without one the page says how to get it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'windtunnel-inputs-'));
    try {
      const run = resultOf(aRun());
      expect(withInputs(run, folder)).toBe(run);
      expect(textOf(inputSection, aView([run]))).toContain(run.header.command.split(' ')[0]);
      writeFileSync(join(folder, 'inputs.json'), '{ "kind": "inputs", "schemaVersion": 999 }');
      expect(withInputs(run, folder)).toBe(run);
      writeFileSync(join(folder, 'inputs.json'), JSON.stringify(someInputs()));
      expect(withInputs(run, folder).inputs).toEqual(someInputs());
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a scenario that cannot be made again says why', () => {
    const inputs = someInputs();
    const planned = { ...inputs, scenario: { ...inputs.scenario, value: null, problem: 'it ran a plan' } };
    expect(textOf(inputSection, aView([{ ...resultOf(aRun()), inputs: planned }]))).toContain(
      'it ran a plan',
    );
  });
});

describe('environment', () => {
  test('is of live runs only', () => {
    const environment = { node: 'v24.1.0', platform: 'linux x64' };
    const live = resultOf(aRun({ header: aHeader({ world: 'live', environment }) }));
    expect(textOf(methodSection, aView([live]))).toContain('on Node v24.1.0, linux x64');
    expect(textOf(methodSection, aView([resultOf(aRun())]))).toContain('the same on every machine');
  });
});

describe('accuracy', () => {
  const runs = {
    sim: resultOf(anAgentRun({ workflows: 60 })),
    live: resultOf(anAgentRun({ workflows: 60, world: 'live', slowdown: 1.05 })),
  };
  const validation = aValidation(runs);

  test('of a simulation alone is what its step times rest on, and the command that measures it', () => {
    const header = aHeader({ evidence: ['calibrated: TPOT 3 % off'] });
    const text = textOf(evidenceSection, aView([resultOf(aRun({ header }))]));
    expect(text).toContain('calibrated: TPOT 3 % off');
    expect(text).toContain('windtunnel validate chat.yaml -d one-gpu.yaml --seed 7');
    expect(evidenceSection(aView([runs.live]))).toBeNull();
  });

  test('bias is the weighted mean of the errors of steps, with and without their sign', () => {
    const step = (errorRatio: number, measuredCount: number) =>
      ({
        kind: 'step',
        times: [{ metric: 'ttft', measuredCount, mean: { errorRatio } }],
      }) as unknown as ValidationResult['comparisons'][number]['groups'][number];
    expect(biasOf({ groups: [step(0.2, 30), step(-0.1, 10)] }, 'ttft')).toEqual({
      metric: 'ttft',
      steps: 2,
      absoluteRatio: expect.closeTo(0.175, 9),
      signedRatio: expect.closeTo(0.125, 9),
    });
    expect(biasOf({ groups: [] }, 'ttft')).toBeNull();
  });

  test('the verdict is one sentence, and the quantiles show where a distribution leaves the line', async () => {
    expect(textOf(trustSection, aView([runs.live, runs.sim], 0, validation))).toMatch(/<b>Trust it/);
    const drawn = qqChart.spec(validation);
    if (isAbsent(drawn)) throw new Error(drawn.absent);
    expect(await toSvg(drawn)).toMatch(/^<svg/);
    expect(qqChart.title(validation)).toMatch(
      /^100 % of the quantiles are within ± 10 %; the furthest off is p\d+ of/,
    );
    const nothing = { ...validation, comparisons: [] };
    expect(qqChart.spec(nothing)).toHaveProperty('absent', expect.stringContaining('no distribution'));
    expect(residualsChart.spec(nothing)).toHaveProperty('absent', expect.stringContaining('more sessions'));
  });

  test('residuals pair calls by session and name, in slices of the planned time', async () => {
    const run = (e2e: (i: number) => number) =>
      aRun({
        calls: Array.from({ length: 400 }, (_, i) =>
          aCall({
            session: `s${i}`,
            plannedMs: i * 100,
            firstTokenMs: i * 100 + 10,
            endMs: i * 100 + e2e(i),
          }),
        ),
      });
    const half = (i: number): number => (i < 200 ? 1000 : 2000);
    const points = residualsOf([run(() => 1000)], [run(half), run(half)]);
    const e2e = points.filter(({ metric }) => metric === 'e2e');
    expect(e2e).toHaveLength(40);
    expect(e2e[0]).toMatchObject({ pairs: 10, predictedMs: 1000, measuredMs: 1000, errorRatio: 0 });
    expect(e2e.at(-1)!.errorRatio).toBeCloseTo(-0.5, 9);
    const comparison = { ...validation.comparisons[0]!, residuals: points };
    const late = { ...validation, comparisons: [comparison] };
    expect(residualsChart.title(late)).toMatch(/error of (call E2E|TPOT) goes from −\d+ % to 0 %/);
    const drawn = residualsChart.spec(late);
    if (isAbsent(drawn)) throw new Error(drawn.absent);
    expect(await toSvg(drawn)).toMatch(/^<svg/);
  });
});
