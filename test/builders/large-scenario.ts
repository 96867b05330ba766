// A scenario of many lines, as a team's grows: workflows of every kind of step, a cohort each.

const workflow = (n: number): string[] => [
  `  agent-${n}:`,
  '    prefix: [system, tools]',
  '    steps:',
  `      - llm: plan-${n}`,
  '        role: planner',
  '        adds: { median: 120, p90: 400, max: 2000 }',
  '        out: { median: 216, p90: 899, max: 4000 }',
  `      - map: parts-${n}`,
  '        over: { dist: uniform, min: 2, max: 6 }',
  '        steps:',
  '          - tool: fetch',
  `          - llm: read-${n}`,
  '            role: worker',
  '            adds: =tokens(prev)',
  '            out: 80',
  `      - repeat: pass-${n}`,
  '        until: { p: 40% }',
  '        max: 5',
  '        steps:',
  `          - { llm: evaluate-${n}, role: evaluator, adds: 60, out: 40 }`,
  `          - { llm: revise-${n}, role: worker, adds: 20, out: 300 }`,
  `      - { llm: answer-${n}, role: final, reads: [read-${n}], out: 400 }`,
];

/** A scenario of at least so many lines. */
export function largeScenario(lines: number): string {
  const head = [
    'windtunnel: 1',
    'name: large',
    'models: { m: { model: ministral-3-14b } }',
    'prefixes:',
    '  system: { tokens: 2800 }',
    '  tools: { tokens: 12300 }',
    'tools:',
    '  fetch: { latency: { median: 350ms, p90: 1.1s }, result: { median: 677, p90: 3649, max: 12k } }',
    'workflows:',
  ];
  const each = workflow(0).length + 1;
  const count = Math.ceil((lines - head.length - 1) / each);
  const numbers = Array.from({ length: count }, (_, n) => n);
  const traffic = numbers.map(
    n => `  - { workflow: agent-${n}, arrival: { poisson: { rate: 0.05/s } }, sessions: 200 }`,
  );
  return `${[...head, ...numbers.flatMap(workflow), 'traffic:', ...traffic].join('\n')}\n`;
}
