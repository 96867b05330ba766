// Whole simulated runs: laws over their records.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../reports/publish.ts';
import { summarise } from '../../reports/summary.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import { e2eMs, ttftMs } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { planOf, randomSteps, sessionsOf, workflowText } from '../builders/scenarios.ts';
import { DEPLOYMENT, deploymentOf, simulated, simulationOf } from '../builders/worlds.ts';

const digest = (run: RunOutput): string => summarise(run, sha256).digest;

const FANOUT = workflowText(
  '[ { llm: plan, prefix: [system], adds: 300, out: 20 }, { map: jobs, over: { mean: 5, sd: 2, min: 1 }, steps: [ { tool: fetch }, { llm: work, adds: =tokens(fetch), out: { median: 30, p90: 60 } } ] }, { llm: final, reads: [work], out: 40 } ]',
  '',
  12,
);

describe('laws of a run', () => {
  test('calls planned = ok + error + cancelled + unfinished, in order planned <= sent <= scheduled <= first <= end', () => {
    fc.assert(
      fc.property(randomSteps, steps => {
        const run = simulated(planOf(workflowText(steps, '', 3)));
        const planned = run.workflows.reduce((sum, each) => sum + each.calls, 0);
        expect(run.calls).toHaveLength(planned);
        for (const call of run.calls) {
          expect(call.sentMs as number).toBeGreaterThanOrEqual(call.plannedMs);
          if (call.outcome !== 'ok') continue;
          const { sentMs, scheduledMs, firstTokenMs, endMs } = call;
          expect(scheduledMs as number).toBeGreaterThanOrEqual(sentMs as number);
          expect(firstTokenMs as number).toBeGreaterThan(scheduledMs as number);
          expect(endMs as number).toBeGreaterThanOrEqual(firstTokenMs as number);
          expect(call.computedTokens).toBe(
            call.promptTokens + call.outputTokens - 1 - (call.cachedTokens as number),
          );
        }
        for (const workflow of run.workflows) expect(['completed', 'failed']).toContain(workflow.status);
      }),
      { numRuns: 60 },
    );
  });

  test('a replica is busy while it has a call, and no longer', () => {
    // One call after another on one replica: from when it is scheduled to its end there is a step in flight.
    const chain = '[ { llm: a, adds: 3000, out: 40 }, { wait: 500ms }, { llm: b, adds: 10, out: 7 } ]';
    const run = simulated(planOf(workflowText(chain)));
    const inEngineMs = run.calls.reduce((sum, { scheduledMs, endMs }) => sum + endMs! - scheduledMs!, 0);
    expect(run.busy).toHaveLength(1);
    expect(run.busy![0]).toMatchObject({ pool: 'main', replica: 'main/0' });
    expect(run.busy![0]!.busyMs).toBeCloseTo(inEngineMs, 6);
    const wide = simulated(planOf(FANOUT), DEPLOYMENT('', undefined, 3));
    expect(wide.busy).toHaveLength(3);
    for (const { busyMs } of wide.busy!) {
      expect(busyMs).toBeGreaterThan(0);
      expect(busyMs).toBeLessThanOrEqual(wide.durationMs);
    }
  });

  test('the same plan gives the same bytes', () => {
    expect(digest(simulated(planOf(FANOUT)))).toBe(digest(simulated(planOf(FANOUT))));
  });

  test('stepping by odd slices changes no byte', () => {
    const plan = planOf(FANOUT);
    const simulation = simulationOf(plan, deploymentOf(DEPLOYMENT()));
    for (let i = 1; simulation.step((i % 7) + 1); i++);
    expect(digest(simulation.finish())).toBe(digest(simulated(plan)));
  });

  test('a session meets the same lengths in the walk and in the run', () => {
    const plan = planOf(FANOUT);
    const run = simulated(plan);
    for (const session of sessionsOf(plan)) {
      const walked = walk(session).calls.map(
        call => `${call.step} ${call.promptTokens} ${call.outputTokens}`,
      );
      const ran = run.calls
        .filter(call => call.session === session.id)
        .map(call => `${call.step} ${call.promptTokens} ${call.outputTokens}`);
      expect(ran.sort()).toEqual(walked.sort());
    }
  });

  test('doubling every cost and every gap doubles every time', () => {
    const slow = FANOUT.replace('median: 300ms, p90: 1s', 'median: 600ms, p90: 2s');
    const once = simulated(
      planOf(FANOUT),
      DEPLOYMENT(
        '',
        'model: affine, base: 8ms, per_token: 80us, per_sequence: 90us, per_context_token: 20ns',
      ),
    );
    const twice = simulated(
      planOf(slow),
      DEPLOYMENT(
        '',
        'model: affine, base: 16ms, per_token: 160us, per_sequence: 180us, per_context_token: 40ns',
      ),
    );
    const byName = new Map(twice.calls.map(call => [`${call.session}${call.call}`, call]));
    for (const call of once.calls) {
      const other = byName.get(`${call.session}${call.call}`)!;
      expect(ttftMs(other) as number).toBeCloseTo(2 * (ttftMs(call) as number), 3);
      expect(e2eMs(other) as number).toBeCloseTo(2 * (e2eMs(call) as number), 3);
    }
  });

  test('more replicas never change what is asked, only when it is answered', () => {
    const tokens = (run: RunOutput): number =>
      run.calls.reduce((sum, call) => sum + call.promptTokens + call.outputTokens, 0);
    const one = simulated(planOf(FANOUT));
    const four = simulated(planOf(FANOUT), DEPLOYMENT('', undefined, 4, 'session-affinity'));
    expect(tokens(four)).toBe(tokens(one));
  });
});

describe('ends that are not good', () => {
  test('an interrupted run records what was under way as unfinished', () => {
    const simulation = simulationOf(planOf(FANOUT), deploymentOf(DEPLOYMENT()));
    simulation.step(40);
    simulation.interrupt();
    const run = simulation.finish();
    expect(run.interrupted).toBe(true);
    expect(run.calls.some(call => call.outcome === 'unfinished')).toBe(true);
    expect(run.workflows.every(workflow => workflow.status !== 'completed' || workflow.endMs !== null)).toBe(
      true,
    );
    expect(run.calls).toHaveLength(run.workflows.reduce((sum, each) => sum + each.calls, 0));
  });

  test('a prompt beyond the window is an error record, not an exception', () => {
    const run = simulated(
      planOf(workflowText('[ { llm: a, adds: 9000, out: 10 } ]')),
      DEPLOYMENT('').replace('max_model_len: 65536', 'max_model_len: 4096'),
    );
    expect(run.calls[0]?.error).toBe('too_long');
    expect(run.workflows[0]?.status).toBe('failed');
  });

  test.each(['vllm', 'sglang'])('a run beyond 104 days is an error of the user, on %s', engine => {
    // 2,500 steps of an hour are 104.2 days.
    const slow = `windtunnel: 1
deployment: slow
pools:
  m: { model: m, engine: ${engine}, step: { model: affine, base: 1h }, limits: { max_model_len: 4096, kv_blocks: 5000 } }
`;
    const run = (out: number) =>
      simulated(planOf(workflowText(`[ { llm: a, adds: 1, out: ${out} } ]`, '', 1)), slow);
    expect(run(2400).durationMs).toBeGreaterThanOrEqual(2400 * 3_600_000);
    expect(() => run(2510)).toThrow(UserError);
    expect(() => run(2510)).toThrow('the run goes on beyond 104 days');
  });

  test('a NaN step length is a broken invariant that names itself', () => {
    const deployment = deploymentOf(DEPLOYMENT());
    const broken = {
      ...deployment,
      pools: deployment.pools.map(pool => ({ ...pool, step: { ...pool.step, stepNs: () => Number.NaN } })),
    };
    const simulation = simulationOf(planOf(FANOUT), broken);
    expect(() => {
      while (simulation.step(100));
    }).toThrow(/broken invariant.*NaN/s);
  });
});

describe('closed cohorts', () => {
  test('agents run one session at a time, think between, and share the sessions out in turn', () => {
    const text = workflowText('[ { llm: a, adds: 10, out: 10 } ]').replace(
      /traffic:.*/,
      'traffic: [ { workflow: main, arrival: { closed: { agents: 3, think: 2s } }, sessions: 10 } ]',
    );
    const run = simulated(planOf(text));
    expect(run.workflows).toHaveLength(10);
    const agents = Map.groupBy(run.workflows, workflow => workflow.session.split('/')[1]?.split('.')[0]);
    expect([...agents.values()].map(list => list.length).sort()).toEqual([3, 3, 4]);
    for (const list of agents.values()) {
      list.sort((a, b) => a.startMs - b.startMs);
      for (let i = 1; i < list.length; i++)
        expect(list[i]!.startMs - (list[i - 1]!.endMs as number)).toBeCloseTo(2000, 3);
    }
  });
});

describe('built-in scenarios', () => {
  test('library scenarios compile without a problem', () => {
    for (const name of [
      'job-scanner',
      'meeting-ingester',
      'evaluator-loop',
      'repo-summary',
      'mixed-fleet',
      'demo',
    ]) {
      expect(loadScenario(name).issues).toEqual([]);
    }
  });
});
