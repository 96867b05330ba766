// Whether a run is told beforehand that this machine has too few sockets for it.
import { expect, test } from 'vitest';
import { openFilesMax, openFilesWarnings } from '../../loadgen/open-files.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';

const agents = (count: number) =>
  planOf(
    workflowText('[ { llm: a, adds: 5, out: 5 } ]', '', 1).replace(
      /arrival: .*?, sessions: \d+/,
      `arrival: { closed: { agents: ${count}, think: 1s } }, sessions: ${count}`,
    ),
  );

test('the limit is read as Linux shows it, and unknown elsewhere', () => {
  const shown = 'Limit                     Soft Limit           Hard Limit           Units     \n';
  expect(
    openFilesMax(`${shown}Max open files            64                   128                  files     \n`),
  ).toBe(64);
  expect(
    openFilesMax(`${shown}Max open files            unlimited            unlimited            files\n`),
  ).toBe(null);
  expect(openFilesMax('')).toBe(null);
  if (process.platform === 'linux') expect(openFilesMax()).toBeGreaterThan(16);
});

test('agents, and sessions that start at once, are counted; those that come by and by are not', () => {
  expect(openFilesWarnings(agents(200), 264)).toEqual([]);
  expect(openFilesWarnings(agents(201), 264).join()).toMatch(
    /^201 sessions at once .* may have 264 files open/,
  );
  expect(openFilesWarnings(agents(100_000), null)).toEqual([]);
  const atOnce = planOf(workflowText('[ { llm: a, adds: 5, out: 5 } ]', '', 300));
  expect(openFilesWarnings(atOnce, 300)).toHaveLength(1);
  const slow = workflowText('[ { llm: a, adds: 5, out: 5 } ]', '', 300).replace(
    'at_once: true',
    'poisson: { rate: 1/s }',
  );
  expect(openFilesWarnings(planOf(slow), 300)).toEqual([]);
});
