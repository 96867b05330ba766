// Scenarios for tests: compiled from text, or drawn at random with every kind of step.
import fc from 'fast-check';
import type { Plan, PlannedSession } from '../../scenarios/formats/plan.ts';
import type { RecordedSession } from '../../scenarios/formats/recorded.ts';
import { parseScenario } from '../../scenarios/formats/scenario.ts';
import { formatIssues, parseSource } from '../../scenarios/formats/source.ts';
import { type Compiled, compile } from '../../scenarios/workflows/compile.ts';

/** Compiles a text; problems come back as printed. */
export function compileText(
  text: string,
  traces: ReadonlyMap<number, readonly RecordedSession[]> = new Map(),
): { compiled: Compiled | null; problems: string } {
  const source = parseSource(text, 'test.yaml');
  const parsed = parseScenario(source);
  const compiled =
    parsed.file === null
      ? null
      : compile({ file: parsed.file, sha256: 'test', name: 'test', traces, lines: null });
  const issues = [...parsed.issues, ...(compiled?.issues ?? [])];
  return { compiled, problems: formatIssues(issues, source, { colour: false }) };
}

/** The plan of a text that has no problem. */
export function planOf(text: string): Plan {
  const { compiled, problems } = compileText(text);
  if (compiled?.plan == null) throw new Error(`the test's scenario is wrong:\n${problems}`);
  return compiled.plan;
}

/** One workflow of the given steps, `sessions` sessions at once. */
export const workflowText = (steps: string, extra = '', sessions = 1): string => `
windtunnel: 1
seed: 11
models: { m: { model: ministral-3-14b } }
prefixes: { system: { tokens: 100, scope: global }, mine: { tokens: 50, scope: task } }
tools: { fetch: { latency: { median: 300ms, p90: 1s }, result: 40 }, broken: { latency: 10ms, fail: 100%, on_fail: stop }, soft: { latency: 10ms, fail: 100% } }
${extra}
workflows:
  helper: { steps: [ { llm: think, adds: 10, out: 5 }, { tool: fetch }, { llm: conclude, adds: =tokens(prev), out: 7 } ] }
  main:
    steps: ${steps}
traffic: [ { workflow: main, arrival: { at_once: true }, sessions: ${sessions} } ]
`;

/** The sessions of the first cohort. */
export function sessionsOf(plan: Plan): PlannedSession[] {
  const cohort = plan.cohorts[0];
  if (cohort?.kind !== 'open') throw new Error('the test wants an open cohort');
  return [...cohort.sessions()];
}

export const firstSession = (plan: Plan): PlannedSession => sessionsOf(plan)[0] as PlannedSession;

/** A random list of steps as flow YAML; names are unique by their place. */
export const randomSteps: fc.Arbitrary<string> = fc
  .letrec<{ list: string; step: string }>(tie => ({
    list: fc
      .array(tie('step'), { minLength: 1, maxLength: 3, depthIdentifier: 'steps' })
      .map(steps => `[ ${steps.join(', ')} ]`),
    step: fc.oneof(
      { depthSize: 'small', withCrossShrink: true, depthIdentifier: 'steps' },
      fc.constantFrom(
        '{ llm: NAME, prefix: [system, mine], adds: 20, out: { median: 10, p90: 30 } }',
        '{ llm: NAME, adds: =tokens(prev), out: 5, reasoning: 8 }',
        '{ llm: NAME, context: fresh, adds: 7, out: 3 }',
        '{ llm: NAME, thread: side, adds: 7, out: 3 }',
        '{ tool: fetch }',
        '{ tool: soft }',
        '{ tool: broken }',
        '{ human: 2s, adds: 12 }',
        '{ wait: 100ms }',
        '{ agent: helper }',
        '{ agent: helper, context: last }',
        '{ llm: NAME, context: last, adds: 4, out: 3 }',
        '{ llm: NAME, adds: 30, out: 9, compact_at: { tokens: 160, out: 20 } }',
        '{ compact: NAME, out: 15, adds: 3 }',
      ),
      tie('list').map(list => `{ try: NAME, steps: ${list} }`),
      fc.tuple(tie('list'), tie('list')).map(([a, b]) => `{ try: NAME, steps: ${a}, on_error: ${b} }`),
      tie('list').map(list => `{ repeat: NAME, until: "=iteration >= 1", max: 4, steps: ${list} }`),
      tie('list').map(
        list => `{ map: NAME, over: { dist: uniform, min: 0, max: 3 }, max_parallel: 2, steps: ${list} }`,
      ),
      tie('list').map(list => `{ map: NAME, over: 3, join: any, steps: ${list} }`),
      fc.tuple(tie('list'), tie('list')).map(([a, b]) => `{ parallel: NAME, branches: [ ${a}, ${b} ] }`),
      fc
        .tuple(tie('list'), tie('list'), tie('list'))
        .map(([a, b, c]) => `{ parallel: NAME, join: 2, branches: [ ${a}, ${b}, ${c} ] }`),
      tie('list').map(list => `{ repeat: NAME, until: { p: 40% }, max: 3, steps: ${list} }`),
      tie('list').map(list => `{ repeat: NAME, times: 2, steps: ${list} }`),
      fc
        .tuple(tie('list'), tie('list'))
        .map(
          ([a, b]) =>
            `{ branch: NAME, cases: [ { weight: 30%, steps: ${a} }, { weight: 70%, steps: ${b} } ] }`,
        ),
    ),
  }))
  .list.map(text => {
    let count = 0;
    return text.replace(/NAME/g, () => `s${count++}`);
  });
