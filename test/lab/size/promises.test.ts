// What a deployment must keep: where its promises come from, and what is left out or put beside them.
import { describe, expect, test } from 'vitest';
import { DEFAULT_PROMISES, promisesOf } from '../../../lab/size/promises.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { planOf, workflowText } from '../../builders/scenarios.ts';

const CALL = '[ { llm: reply, adds: 20, out: 5 } ]';
const withLines = (...lines: string[]) => planOf(workflowText(CALL, `assert: ${JSON.stringify(lines)}`));

function refused(line: string): UserError {
  try {
    promisesOf(withLines(), [line]);
  } catch (error) {
    if (error instanceof UserError) return error;
  }
  throw new Error(`"${line}" was taken`);
}

describe('promises', () => {
  test("are the scenario's lines, then those of the command line, each once", () => {
    const plan = withLines('p95(ttft) < 1s', 'rate(error) < 2%');
    const { lines, notes } = promisesOf(plan, ['mean(tpot) < 30ms', 'p95(ttft) < 1s']);
    expect(lines).toEqual(['p95(ttft) < 1s', 'rate(error) < 2%', 'mean(tpot) < 30ms']);
    expect(notes).toEqual([]);
  });

  test('are a first token and a reading speed where nothing bounds a latency, and the reader is told', () => {
    const { lines, notes } = promisesOf(withLines('rate(error) < 2%', 'cache_hit() > 10%'), []);
    expect(lines).toEqual(['rate(error) < 2%', 'cache_hit() > 10%', ...DEFAULT_PROMISES]);
    expect(notes.join()).toContain('--slo');
  });

  test('leave the SLOs of steps where they are, which bound a latency already', () => {
    const plan = planOf(workflowText('[ { llm: reply, adds: 20, out: 5, slo: { ttft: 500ms } } ]'));
    expect(plan.assertions.some(({ subject }) => subject.kind === 'attainment')).toBe(true);
    expect(promisesOf(plan, []).lines).toEqual(['rate(error) < 1%']);
  });

  test.each([
    ['a rate of one code', 'rate(429) < 1%'],
    ['a rate of some calls', 'rate(error, workflow=main) < 1%'],
    ['no rate', 'p95(ttft) < 1s'],
  ])('include that calls succeed where %s is all that is promised', (_, line) => {
    expect(promisesOf(withLines('p95(ttft) < 1s', line), []).lines).toContain('rate(error) < 1%');
  });

  test('have no counts, which grow with the time one looks, and say so', () => {
    const { lines, notes } = promisesOf(withLines('count(calls) > 100', 'p95(ttft) < 1s'), [
      'count(workflows) > 5',
    ]);
    expect(lines).toEqual(['p95(ttft) < 1s', 'rate(error) < 1%']);
    expect(notes.join()).toContain('count(calls) > 100, count(workflows) > 5');
  });

  test.each([
    ['p95(tfft) < 2s', /unknown metric "tfft"/, /ttft/],
    ['p95(ttft) 2s', /./, /./],
    ['p95(ttft) < 2', /./, /./],
    ['', /./, /./],
  ])('refuse "%s" with what is wrong and what would do', (line, what, hint) => {
    const error = refused(line);
    expect(error.exitCode).toBe(104);
    expect(error.message).toMatch(/^--slo/);
    expect(error.message).toMatch(what);
    expect(error.hint).toMatch(hint);
  });
});
