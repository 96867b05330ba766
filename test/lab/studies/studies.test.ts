// Every study: its cases can be run, and what it says follows from its runs.
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import { studies, studyOf } from '../../../lab/studies/index.ts';
import staleSignals from '../../../lab/studies/stale-signals.ts';
import { findingsMarkdown, findingsText } from '../../../lab/studies/text.ts';
import { figuresOf } from '../../builders/figures.ts';
import { emptyFolder, windtunnel } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

describe.each(Object.values(studies))('the study $name', study => {
  const cases = study.cases({ isQuick: true });

  test('has a question, a method, and cases that differ', () => {
    expect(study.question.length).toBeGreaterThan(20);
    expect(study.method.length).toBeGreaterThan(20);
    expect(new Set(cases.map(({ of }) => JSON.stringify(of))).size).toBe(cases.length);
    expect(new Set(cases.map(({ at }) => JSON.stringify(at))).size).toBe(cases.length);
  });

  test('is quick where that is asked for', () => {
    expect(cases.length).toBeLessThanOrEqual(study.cases({ isQuick: false }).length);
  });

  test('runs: its first case, shortened', async () => {
    const { scenario, ...rest } = cases[0]!.of;
    const set = [...(scenario.options.set ?? []), 'traffic.0.sessions=20'];
    const outcome = await new CaseRunner().run({
      ...rest,
      scenario: { ...scenario, options: { ...scenario.options, set } },
    });
    expect(outcome).toMatchObject({ ok: true });
  });

  test('judges runs that are all alike, and says so in words and in Markdown', () => {
    const runs = cases.map(({ at }) => ({ at, figures: figuresOf() }));
    const findings = study.judge(runs);
    expect(findings.claims.length).toBeGreaterThan(0);
    expect(findings.limits.length).toBeGreaterThan(0);
    for (const { columns, rows } of findings.tables)
      for (const row of rows) expect(row).toHaveLength(columns.length);
    expect(findingsText(study, findings)).toContain(findings.claims[0]!.figure);
    const page = findingsMarkdown(study, findings, { command: `windtunnel study ${study.name}`, runs: 1 });
    for (const { id } of findings.charts) expect(page).toContain(`${id}-dark.svg`);
    expect(page).toContain(`windtunnel study ${study.name}`);
  });
});

describe('stale signals', () => {
  /** TTFT p99 of 100 ms, times `factor` where the router scrapes every so often. */
  const judged = (factor: (scrapeMs: number, ratePerSec: number) => number) =>
    staleSignals.judge(
      staleSignals.cases({ isQuick: true }).map(({ at }) => {
        const times = at.policy === 'llm-d' ? factor(at.scrapeMs, at.ratePerSec) : 1;
        // Seeds differ a little, in all places alike.
        return { at, figures: figuresOf({ ttftMsP99: 100 * times + at.seed }) };
      }),
    ).claims;

  test('a world as BLIS tells it is confirmed', () => {
    const claims = judged((scrapeMs, rate) =>
      rate < 50 || scrapeMs < 10 ? 1 : scrapeMs < 100 ? 1.14 : 4.54,
    );
    expect(claims.map(({ verdict }) => verdict)).toEqual([
      'confirmed',
      'confirmed',
      'confirmed',
      'confirmed',
    ]);
    // 354 on 102: the seeds' mean is in the base.
    expect(claims[2]!.figure).toContain('+347 %');
  });

  test('a world where age costs nothing contradicts it, and one where it costs little does in part', () => {
    expect(judged(() => 1).map(({ verdict }) => verdict)).toEqual([
      'confirmed',
      'contradicted',
      'contradicted',
      'confirmed',
    ]);
    expect(judged(scrapeMs => (scrapeMs >= 100 ? 1.5 : 1)).map(({ verdict }) => verdict)).toEqual([
      'confirmed',
      'contradicted',
      'partly',
      'partly',
    ]);
  });
});

test('a study that is not there is refused with those there are', () => {
  expect(() => studyOf('stale-signal')).toThrow(/there is no study "stale-signal"/);
  const ran = windtunnel(['study', 'stale-signal'], folder);
  expect(ran).toMatchObject({ code: 104, err: expect.stringContaining('did you mean "stale-signals"') });
});

test('without a name the studies are listed', () => {
  const ran = windtunnel(['study'], folder);
  expect(ran.code).toBe(0);
  for (const { name, question } of Object.values(studies)) {
    expect(ran.out).toContain(name);
    expect(ran.out).toContain(question);
  }
});
