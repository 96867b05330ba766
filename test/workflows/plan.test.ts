// The plan: same seed, same bytes; one draw never moves another; any length in constant memory; written and read back.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { loadScenario, settledScenario } from '../../scenarios/cli/load.ts';
import { planLines } from '../../scenarios/plan-file.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { planOf, randomSteps, sessionsOf, workflowText } from '../builders/scenarios.ts';
import { simulated } from '../builders/worlds.ts';
import { windtunnel } from '../cli/run.ts';

const folder = mkdtempSync(join(tmpdir(), 'windtunnel-plan-'));
afterAll(() => rmSync(folder, { recursive: true }));

const TEXT = (extraStep = '', extraCohort = ''): string => `
windtunnel: 1
seed: 5
models: { m: { model: ministral-3-14b } }
tools: { fetch: { latency: { median: 300ms, p90: 1s }, result: { median: 100, p90: 300 } } }
workflows:
  main:
    steps:
      ${extraStep}
      - map: jobs
        over: { mean: 6, sd: 2, min: 1 }
        steps: [ { llm: work, adds: { median: 50, p90: 90 }, out: { median: 20, p90: 70 } }, { tool: fetch } ]
  other: { steps: [ { llm: chat, adds: 5, out: 5 } ] }
traffic:
  ${extraCohort}
  - { workflow: main, arrival: { poisson: { rate: 2/s } }, sessions: 20 }
`;

/** What the sessions of cohort `main` draw: start, width, lengths. */
function drawsOf(text: string): string {
  const plan = planOf(text);
  const cohort = plan.cohorts.find(each => each.name === 'main');
  if (cohort?.kind !== 'open') throw new Error('no such cohort');
  return [...cohort.sessions()]
    .map(session => {
      const { calls, nodes } = walk(session);
      const works = calls
        .filter(call => call.step === 'work')
        .map(call => `${call.parts.at(-1)?.tokens}/${call.outputTokens}`);
      const tools = nodes
        .filter(node => node.kind === 'tool' && node.step === 'fetch')
        .map(node => (node.endMs - node.startMs).toFixed(6));
      return `${session.plannedMs} ${works.sort().join(' ')} ${tools.sort().join(' ')}`;
    })
    .join('\n');
}

describe('common random numbers', () => {
  test('the same seed draws the same agents, another seed others', () => {
    expect(drawsOf(TEXT())).toBe(drawsOf(TEXT()));
    expect(drawsOf(TEXT())).not.toBe(drawsOf(TEXT().replace('seed: 5', 'seed: 6')));
  });

  test('a step more leaves the other draws alone', () => {
    const grown = TEXT('- { human: { median: 2s, p90: 9s }, adds: 3 }');
    expect(drawsOf(grown)).toBe(drawsOf(TEXT()));
  });

  test('a cohort more, in front, leaves the other draws alone', () => {
    const grown = TEXT('', '- { workflow: other, arrival: { poisson: { rate: 9/s } }, sessions: 50 }');
    expect(drawsOf(grown)).toBe(drawsOf(TEXT()));
  });

  test('the draws of a seed are these, on every machine', () => {
    const [first] = sessionsOf(planOf(TEXT()));
    const { calls } = walk(first!);
    expect(first?.plannedMs.toFixed(9)).toMatchInlineSnapshot(`"87.174209217"`);
    expect(calls.map(call => `${call.promptTokens}/${call.outputTokens}`).join(' ')).toMatchInlineSnapshot(
      `"34/62 83/23 67/3 29/20"`,
    );
  });
});

/** What is held, garbage aside. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('a plan of two million calls is walked in constant memory', () => {
  const plan = planOf(`
windtunnel: 1
models: { m: { model: ministral-3-14b } }
workflows: { main: { steps: [ { map: jobs, over: 400, steps: [ { llm: work, adds: { median: 50, p90: 90 }, out: 20 } ] } ] } }
traffic: [ { workflow: main, arrival: { poisson: { rate: 100/s } }, sessions: 5000 } ]
`);
  const cohort = plan.cohorts[0]!;
  if (cohort.kind !== 'open') throw new Error('open');
  let calls = 0;
  let early = 0;
  let late = 0;
  for (const session of cohort.sessions()) {
    calls += walk(session).calls.length;
    if (calls === 400_000) early = heapBytes();
    if (calls === 2_000_000) late = heapBytes();
  }
  expect(calls).toBe(2_000_000);
  expect(late - early).toBeLessThan(5e6);
});

describe('a written plan', () => {
  const write = (name: string, lines: Iterable<string>): string => {
    const path = join(folder, name);
    writeFileSync(path, `${[...lines].join('\n')}\n`);
    return path;
  };

  test('reads back to the same sessions, and what was edited in it wins', () => {
    const scenario = join(folder, 'main.yaml');
    writeFileSync(scenario, TEXT());
    const loaded = loadScenario(scenario);
    const path = write(
      'main.plan.jsonl',
      planLines(loaded.compiled!.plan!, settledScenario(loaded), loaded.recorded),
    );
    const again = loadScenario(path);
    expect(again.kind).toBe('plan');
    const walked = (plan: NonNullable<typeof loaded.compiled>['plan']): string =>
      sessionsOf(plan!)
        .map(session => JSON.stringify(walk(session).calls))
        .join('\n');
    expect(walked(again.compiled!.plan)).toBe(walked(loaded.compiled!.plan));

    const edited = readFileSync(path, 'utf8').replace(/"jobs count":\d+/, '"jobs count":3');
    writeFileSync(path, edited);
    const changed = loadScenario(path).compiled!.plan!;
    expect(walk(sessionsOf(changed)[0]!).calls).toHaveLength(3);
    expect(walk(sessionsOf(changed)[1]!).calls.length).toBe(
      walk(sessionsOf(loaded.compiled!.plan!)[1]!).calls.length,
    );
  });

  test('holds what --seed and --set settled; a session that was cut does not run, a moved one starts then', () => {
    const scenario = join(folder, 'settled.yaml');
    writeFileSync(scenario, TEXT());
    const loaded = loadScenario(scenario, { seed: 99, set: ['traffic.0.sessions=4'] });
    const lines = [...planLines(loaded.compiled!.plan!, settledScenario(loaded), loaded.recorded)];
    expect(lines).toHaveLength(5);
    const again = loadScenario(write('settled.plan.jsonl', lines)).compiled!.plan!;
    expect(again.seed).toBe(99);
    expect(sessionsOf(again).map(session => walk(session).calls.length)).toEqual(
      sessionsOf(loaded.compiled!.plan!).map(session => walk(session).calls.length),
    );
    const moved = JSON.stringify({ ...JSON.parse(lines[2] as string), plannedMs: 12 });
    const cut = loadScenario(write('cut.plan.jsonl', [lines[0] as string, lines[4] as string, moved]));
    expect(sessionsOf(cut.compiled!.plan!).map(session => [session.id, session.plannedMs])).toEqual([
      ['main/1', 12],
      ['main/3', JSON.parse(lines[4] as string).plannedMs],
    ]);
  });

  test('keeps the workflow, the tenant and the user that each session drew, with measured lengths inside', () => {
    writeFileSync(join(folder, 'lengths.csv'), 'tokens\n10\n700\n');
    const scenario = join(folder, 'mixed.yaml');
    const cohort =
      '{ name: mixed, mix: { main: 60%, other: 40% }, tenants: { a: 1, b: 1 }, users: 9, arrival: { gamma: { rate: 1/s, cv: 2 } }, sessions: 30 }';
    writeFileSync(
      scenario,
      TEXT('', `- ${cohort}`).replace(
        'adds: 5, out: 5',
        'adds: { empirical: { file: lengths.csv, column: tokens } }, out: 5',
      ),
    );
    const loaded = loadScenario(scenario);
    const lines = planLines(loaded.compiled!.plan!, settledScenario(loaded), loaded.recorded);
    const path = write('mixed.plan.jsonl', lines);
    rmSync(join(folder, 'lengths.csv'));
    const told = (plan: NonNullable<typeof loaded.compiled>['plan']): unknown[] =>
      sessionsOf(plan!).map(session => [
        session.program.workflow,
        session.tenant,
        session.user,
        session.plannedMs,
        walk(session).calls.map(call => call.promptTokens),
      ]);
    expect(told(loadScenario(path).compiled!.plan)).toEqual(told(loaded.compiled!.plan));
    expect(new Set(told(loaded.compiled!.plan).map(each => (each as string[])[0]))).toEqual(
      new Set(['main', 'other']),
    );
  });

  test('holds recorded sessions whole', () => {
    const loaded = loadScenario('scenarios/library/traces/claude-code-session.json');
    const path = write(
      'trace.plan.jsonl',
      planLines(loaded.compiled!.plan!, settledScenario(loaded), loaded.recorded),
    );
    const calls = (plan: NonNullable<typeof loaded.compiled>['plan']): string =>
      JSON.stringify(walk(sessionsOf(plan!)[0]!).calls);
    expect(calls(loadScenario(path).compiled!.plan)).toBe(calls(loaded.compiled!.plan));
  });

  const CLOSED = TEXT(
    '',
    '- { name: mixed, mix: { main: 60%, other: 40% }, arrival: { at_once: true }, sessions: 3 }',
  ).replace('poisson: { rate: 2/s }', 'closed: { agents: 2, think: { median: 1s, p90: 9s } }');
  const linesOf = (text: string): string[] => {
    writeFileSync(join(folder, 'one.yaml'), text);
    const loaded = loadScenario(join(folder, 'one.yaml'));
    return [...planLines(loaded.compiled!.plan!, settledScenario(loaded), loaded.recorded)];
  };

  test.each<[string, (text: string) => string, RegExp]>([
    [
      'half a token',
      text => text.replace(/(work adds":)\d+/, '$11.5'),
      /:\d+: .*"jobs\[0\]\/work adds" is not a whole number/,
    ],
    [
      'more than any number',
      text => text.replace(/(work adds":)\d+/, '$11e999'),
      /is not a number of 0 or more/,
    ],
    [
      'a time beyond all',
      text => text.replace(/"plannedMs":\d+/, '"plannedMs":1e999'),
      /plannedMs is not a time/,
    ],
    ['another spelling of a session', text => text.replace('"mixed/0"', '"mixed/00"'), /neither a session/],
    ['no scenario', text => text.replace(/"scenario":.*/, '"scenario":5}'), /its scenario is missing/],
  ])('%s is refused at its line', (_name, edit, expected) => {
    const path = write('edited.plan.jsonl', [edit(linesOf(CLOSED).join('\n'))]);
    expect(() => loadScenario(path)).toThrow(expected);
  });

  test.each<[string, (text: string) => string, RegExp]>([
    [
      'an agent that the cohort has not',
      text => text.replace('"main/0.0"', '"main/7.0"'),
      /has the agents 0 to 1/,
    ],
    [
      'a session without its agent',
      text => text.replace('"main/0.0"', '"main/70"'),
      /lists the session "main\/70"/,
    ],
    [
      'an agent in an open cohort',
      text => text.replace('"mixed/0"', '"mixed/0.0"'),
      /the cohort has no agents/,
    ],
    [
      'sessions of a cohort that is not there',
      text => text.replace('"main/0.0"', '"helper/0"'),
      /no cohort of its scenario/,
    ],
    [
      'recorded sessions of one that replays none',
      text => `${text}\n{"recorded":7,"session":{"calls":[]}}`,
      /cohort 7, which replays none/,
    ],
  ])('%s is an issue', (_name, edit, expected) => {
    const { issues } = loadScenario(write('edited.plan.jsonl', [edit(linesOf(CLOSED).join('\n'))]));
    expect(issues.map(each => each.message).join('\n')).toMatch(expected);
  });

  test('a case that is not there is told when it is taken', () => {
    const edited = linesOf(CLOSED)
      .join('\n')
      .replace(/"session:workflow case":\d/, '"session:workflow case":9');
    const { compiled } = loadScenario(write('edited.plan.jsonl', [edited]));
    expect(() => sessionsOf(compiled!.plan!)).toThrow(/"session:workflow case" is 9 .* there are 2/);
  });

  test('an agent whose first session was cut thinks after the others as it would have', () => {
    const lines = linesOf(CLOSED);
    const closed = (path: string) =>
      loadScenario(path).compiled!.plan!.cohorts.find(each => each.kind === 'closed')!;
    const whole = closed(write('whole.plan.jsonl', lines));
    const cut = closed(
      write(
        'cut.plan.jsonl',
        lines.filter(line => !line.includes('"main/0.0"')),
      ),
    );
    if (whole.kind !== 'closed' || cut.kind !== 'closed') throw new Error('closed');
    expect(cut.session(0, 0, 0)?.id).toBe('main/0.1');
    expect(cut.thinkMs(0, 0)).toBe(whole.thinkMs(0, 1));
  });

  test('is refused for agents without a number of sessions, also beside a trace', async () => {
    const trace = join(import.meta.dirname, '../../scenarios/library/traces/claude-code-session.json');
    writeFileSync(
      join(folder, 'unbounded.yaml'),
      CLOSED.replace('sessions: 20', 'for: 10s').replace('traffic:', `traffic:\n  - { trace: ${trace} }`),
    );
    const { code, err } = windtunnel(['plan', 'unbounded.yaml', '--out', 'never.jsonl'], folder);
    expect([code, err]).toEqual([104, expect.stringMatching(/has no plan before it runs/)]);
  });

  test('a damaged line is named', () => {
    const path = join(folder, 'bad.plan.jsonl');
    writeFileSync(
      path,
      '{"windtunnelPlan":2,"name":"x","seed":1,"scenario":{"windtunnel":1}}\n{"session":"a/0","dra\n',
    );
    expect(() => loadScenario(path)).toThrow(/bad\.plan\.jsonl:2: unreadable plan/);
  });

  test('runs like the scenario that it was written from, whatever the steps and the arrivals', () => {
    const arrivals = fc.constantFrom(
      '{ workflow: main, arrival: { closed: { agents: 3, think: { median: 2s, p90: 9s }, ramp: 5s } }, sessions: 7 }',
      '{ mix: { main: 60%, helper: 40% }, tenants: { a: 1, b: 1 }, users: 5, arrival: { poisson: { rate: 2/s } }, sessions: 6 }',
      '{ workflow: main, arrival: { cron: { at: "*/5 * * * *", size: 2, jitter: { median: 3m, p90: 20m } } }, for: 15m, start: 30s }',
      '{ workflow: main, arrival: { gamma: { rate: 1/s, cv: 3 }, phases: [ { for: 3s, times: 1 }, { for: 2s, times: 0.5, to: 2/s, process: constant } ] } }',
      '{ workflow: main, arrival: { closed: { agents: 2, think: 1s } }, sessions: 9, for: 20s }',
    );
    const property = fc.property(randomSteps, arrivals, (steps, cohort) => {
      const text = workflowText(steps, 'params: { big: { median: 20, p90: 90 } }')
        .replace(/traffic:.*/, `traffic: [ ${cohort} ]`)
        .replace(/adds: 20|tokens: 50|result: 40/g, all => all.replace(/\d+/, '"=big + 1"'));
      const path = write('random.plan.jsonl', linesOf(text));
      const [drawn, written] = ['one.yaml', path].map(file => {
        const { calls, nodes, workflows } = simulated(
          loadScenario(join(folder, file.split('/').at(-1)!)).compiled!.plan!,
        );
        return { calls, nodes, workflows };
      });
      expect(written).toEqual(drawn);
    });
    fc.assert(property, { seed: 6, numRuns: 60 });
  });
});
