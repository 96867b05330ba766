import { describe, expect, it } from 'vitest';
import { costBasis } from '../../../engines/cost-basis.ts';
import { loadDeployment, readyRun } from '../../../engines/load.ts';
import { ledgerOf } from '../../../gateway/ledger/ledger.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { tallied } from '../../../lab/grid/tallied.ts';
import { judge } from '../../../reports/assertions.ts';
import { TallyCollector } from '../../../reports/tally/collect.ts';
import { judgeTally } from '../../../reports/tally/judge.ts';
import { loadScenario } from '../../../scenarios/cli/load.ts';
import { mergedTally, type RunTally } from '../../../scenarios/formats/tally.ts';
import { startSimulation } from '../../../sim/start.ts';
import { HEADER } from '../../builders/worlds.ts';

const LINES = [
  'p95(ttft) < 2s',
  'p50(ttft, role=worker) < 1s',
  'mean(tpot) < 50ms',
  'max(e2e) < 60s',
  'p90(queue, workflow=scan) < 1s',
  'p95(makespan, workflow=chat) < 10s',
  'p99(e2e, workflow=refine) < 30s',
  'p99(itl) < 100ms',
  'rate(error) < 1%',
  'cache_hit(workflow=summarize) > 60%',
  'count(calls) > 10',
  'count(tool_calls, workflow=scan) > 1',
  'count(workflows) > 3',
];

/** A library scenario with many kinds of lines, its records and its tally. */
function played(scenario: string, deployment: string, seed: number, lines = LINES) {
  const loaded = loadScenario(scenario, { seed, set: [`assert=${JSON.stringify(lines)}`] });
  const ready = readyRun(loaded, loadDeployment(deployment, routingPolicies), { json: true, quiet: true });
  const { plan } = ready;
  const counted = tallied(plan, ready.deployment);
  const simulation = startSimulation({ ...ready, header: HEADER, ...counted.hears });
  while (simulation.step(10_000));
  const tally = counted.of(simulation);
  const output = simulation.finish();
  return { plan, tally, output, ledger: ledgerOf(output, costBasis(ready.deployment, plan)) };
}

describe('a tally', () => {
  it('judges each line as the records do, quantiles within 0.5 %', () => {
    const { plan, tally, output } = played('mixed-fleet', 'workstation-ministral-14b', 7);
    const byRecords = judge(output);
    const byTally = judgeTally(plan.assertions, tally);
    expect(byTally.map(({ text }) => text)).toEqual(byRecords.map(({ text }) => text));
    expect(byRecords.length).toBeGreaterThanOrEqual(LINES.length);
    for (const [i, { text, value, unit, target }] of byRecords.entries()) {
      const other = byTally[i]!;
      expect([other.unit, other.target], text).toEqual([unit, target]);
      expect(value, text).not.toBeNull();
      // Two neighbours of a small sample may lie on both sides of a rank.
      const isExact = !/^p\d/.test(text);
      expect(Math.abs(other.value! - value!), text).toBeLessThanOrEqual(
        value! * (isExact ? 1e-5 : 0.005) + 1e-9,
      );
    }
  });

  it('merges to the same bytes however a run is divided, and in any order', () => {
    const { plan, output } = played('mixed-fleet', 'workstation-ministral-14b', 7);
    const none = { count: 0, sum: 0, min: 0, max: 0, buckets: [] };
    const part = (n: number, of: number): RunTally => {
      const tally = new TallyCollector(plan.assertions);
      for (const [i, session] of output.workflows.entries()) {
        if (i % of !== n) continue;
        tally.onSession(session);
        for (const call of output.calls) if (call.session === session.session) tally.onCall(call);
      }
      return tally.tally(1000, [], none);
    };
    const whole = part(0, 1);
    const [first, ...others] = [0, 1, 2, 3, 4].map(n => part(n, 5));
    expect(mergedTally([first!, ...others])).toEqual(whole);
    expect(JSON.stringify(mergedTally([others[2]!, first!, others[0]!, others[3]!, others[1]!]))).toBe(
      JSON.stringify(mergedTally([first!, ...others])),
    );
  });

  it('bills what the ledger bills, without a gateway and with one', () => {
    for (const [scenario, deployment] of [
      ['evaluator-loop', 'api-only'],
      ['hybrid-routing', 'hybrid'],
    ] as const) {
      const { tally, ledger } = played(scenario, deployment, 3, []);
      const { api_input, api_cached_input, api_cache_write, api_output, gpu_work, gpu_idle } =
        ledger.components;
      expect(tally.apiNanos).toBe(api_input + api_cached_input + api_cache_write + api_output);
      expect(tally.apiNanos).toBeGreaterThan(0);
      expect(Math.abs((tally.gpuNanos ?? 0) - gpu_work - gpu_idle)).toBeLessThanOrEqual(
        1e3 + 1e-6 * gpu_work,
      );
    }
  });

  it('counts every call and session once', () => {
    const { tally, output } = played('mixed-fleet', 'workstation-ministral-14b', 7);
    const sum = (counts: object): number => Object.values(counts).reduce((a: number, b: number) => a + b, 0);
    expect(sum(tally.calls)).toBe(output.calls.length);
    expect(sum(tally.sessions)).toBe(output.workflows.length);
    expect(tally.us.ttft.count).toBe(tally.calls.ok);
    expect(tally.tokens.prompt).toBe(output.calls.reduce((all, call) => all + call.promptTokens, 0));
  });
});
