// SLOs of workflows and steps as assertions: the share of sessions or calls that end well and keep their targets.

import type { Issue } from '../base/issue.ts';
import type { Assertion, SloMetric } from '../formats/assertion.ts';
import { parseScalar } from '../formats/quantity.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import { eachRawStep } from '../formats/steps.ts';
import { usedNames } from '../formats/unbuilt.ts';

/** Share that must keep its targets where the file does not say. */
export const DEFAULT_SUCCESS = 0.95;

type Targets = { readonly [Key in SloMetric | 'success']?: string | number | undefined };
const METRICS: readonly SloMetric[] = ['ttft', 'itl', 'tpot', 'e2e'];

/** One assertion for each SLO of the workflows that the traffic reaches. The schema has checked their quantities. */
export function compileSlos(file: ScenarioFile, issues: readonly Issue[]): Assertion[] {
  if (issues.some(each => each.severity === 'error')) return [];
  const assertions: Assertion[] = [];
  const started = new Set(
    file.traffic.flatMap(cohort => [cohort.workflow ?? [], Object.keys(cohort.mix ?? {})].flat()),
  );
  for (const workflow of usedNames(file).workflows) {
    const { slo, steps } = file.workflows?.[workflow] ?? {};
    // A workflow that only runs as a sub-agent has no session of its own to judge.
    if (slo !== undefined && started.has(workflow))
      assertions.push({
        ...attainment(slo, 'sessions', { workflow }),
        path: ['workflows', workflow, 'slo'],
      });
    eachRawStep(steps, ['workflows', workflow, 'steps'], (step, path) => {
      if (typeof step !== 'object' || step === null) return;
      const { llm, compact, slo: targets } = step as { llm?: string; compact?: string; slo?: Targets };
      const name = llm ?? compact;
      if (targets !== undefined && name !== undefined)
        assertions.push({
          ...attainment(targets, 'calls', started.has(workflow) ? { workflow, step: name } : { step: name }),
          path: [...path, 'slo'],
        });
    });
  }
  return assertions;
}

function attainment(
  targets: Targets,
  of: 'calls' | 'sessions',
  filter: { workflow?: string; step?: string },
): Assertion {
  const withinMs: Partial<Record<SloMetric, number>> = {};
  const words: string[] = [];
  for (const metric of METRICS) {
    const raw = targets[metric];
    const parsed = raw === undefined ? null : parseScalar(raw, 'ms');
    if (parsed === null || 'error' in parsed) continue;
    withinMs[metric] = parsed.value;
    words.push(`${metric} <= ${raw}`);
  }
  const share = targets.success === undefined ? null : parseScalar(targets.success, 'ratio');
  const target = share !== null && 'value' in share ? share.value : DEFAULT_SUCCESS;
  const where = Object.entries(filter).map(([key, value]) => `${key}=${value}`);
  const text = `slo(${[...words, ...where].join(', ')}) >= ${Number((target * 100).toFixed(3))}%`;
  return { text, subject: { kind: 'attainment', of, withinMs }, filter, op: '>=', target };
}
