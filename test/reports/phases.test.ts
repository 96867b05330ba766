// What the time of a step went into: hand-computed stories of attempts, limits, cold starts and links, and laws on
// simulated runs that have all of them.
import { describe, expect, test } from 'vitest';
import { attachCriticalPaths, bySession, totalMs } from '../../reports/critical-path.ts';
import { backgroundOf, phasesOf } from '../../reports/phases.ts';
import { sha256 } from '../../reports/publish.ts';
import { summarise } from '../../reports/summary.ts';
import type { AttemptRecord, CallRecord, ToolRecord } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aCall, aNode, anAttempt, aRun, aSpan, aTool, aWorkflow, theGoverned } from '../builders/records.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { deploymentOf, simulationOf } from '../builders/worlds.ts';
import { simulatedOn } from '../library/simulated.ts';

/** `phase from-to` of the node of a run. */
const told = (output: RunOutput): string[] =>
  phasesOf(output.nodes[0]!, output.calls[0], backgroundOf(output)).map(
    ({ phase, startMs, endMs }) => `${phase} ${startMs}-${endMs}`,
  );

const ofCall = (call: Partial<CallRecord>, fields: Partial<RunOutput> = {}): RunOutput => {
  const record = aCall(call);
  const node = aNode({ endMs: record.endMs!, status: record.outcome === 'ok' ? 'completed' : 'failed' });
  return aRun({ calls: [record], nodes: [node], durationMs: 2000, ...fields });
};

const ofAttempts = (call: Partial<CallRecord>, attempts: Partial<AttemptRecord>[]): string[] =>
  told(ofCall(call, { governed: theGoverned({ attempts: attempts.map(anAttempt) }) }));

/** A failure from 0 to 100 ms, tried again after a pause of 400 ms. */
const FAILED = {
  outcome: 'error',
  waste: 'retried',
  scheduledMs: null,
  firstTokenMs: null,
  endMs: 100,
} as const;
const AGAIN = { attempt: 1, kind: 'retry', sentMs: 500, scheduledMs: 520, firstTokenMs: 600 } as const;
const CALL = { scheduledMs: 520, firstTokenMs: 600, attempts: 2 };
const ANSWERED = ['queue 500-520', 'prefill 520-600', 'decode 600-1100'];

describe('an LLM call', () => {
  test('that a server failed is retry until the attempt that answered, pause included', () => {
    const attempts = [
      { ...FAILED, reason: '5xx', error: 'http_500' },
      { ...AGAIN, because: '5xx' },
    ] as const;
    expect(ofAttempts(CALL, [...attempts])).toEqual(['retry 0-100', 'retry 100-500', ...ANSWERED]);
  });

  test.each(['429', 'shed'] as const)('that was refused with %s is limit, and so is the pause', reason => {
    const attempts = [
      { ...FAILED, reason, error: reason === '429' ? 'http_429' : 'shed' },
      { ...AGAIN, because: reason },
    ] as const;
    expect(ofAttempts(CALL, [...attempts])).toEqual(['limit 0-100', 'limit 100-500', ...ANSWERED]);
  });

  test('whose copy was faster lost the time before the copy was sent', () => {
    const slow = {
      outcome: 'cancelled',
      waste: 'hedged',
      firstTokenMs: null,
      endMs: 650,
      cancelledMs: 600,
    } as const;
    const copy = { ...AGAIN, kind: 'hedge' } as const;
    expect(ofAttempts(CALL, [slow, copy])).toEqual(['retry 0-500', ...ANSWERED]);
  });

  test('whose copy was slower has the phases of the first attempt', () => {
    const copy = { attempt: 1, kind: 'hedge', sentMs: 50, waste: 'hedged', outcome: 'cancelled' } as const;
    expect(ofAttempts({ attempts: 2 }, [{}, copy])).toEqual([
      'queue 0-10',
      'prefill 10-100',
      'decode 100-1100',
    ]);
  });

  test('that was asked again in vain keeps its first answer, and the rest is retry', () => {
    const better = {
      attempt: 1,
      kind: 'escalation',
      sentMs: 1100,
      endMs: 1500,
      outcome: 'error',
      waste: 'failed',
    } as const;
    const call = aCall({ endMs: 1500 });
    const output = aRun({
      calls: [call],
      nodes: [aNode({ endMs: 1500 })],
      governed: theGoverned({
        attempts: [anAttempt({ because: 'other' }), anAttempt({ ...better, reason: '5xx' })],
      }),
    });
    expect(told(output)).toEqual(['queue 0-10', 'prefill 10-100', 'decode 100-1100', 'retry 1100-1500']);
  });

  test('that a limit of ours held was waiting for the limit; without a word of it the time is ours', () => {
    const call = { sentMs: 300, scheduledMs: 310, firstTokenMs: 400 };
    const decision = {
      atMs: 0,
      session: 's0',
      call: 'answer',
      policy: 'limit',
      decision: 'waits',
      why: 'rpm',
    } as const;
    const rest = ['queue 300-310', 'prefill 310-400', 'decode 400-1100'];
    expect(told(ofCall(call))).toEqual(rest);
    const held = theGoverned({ decisions: [decision] });
    expect(told(ofCall(call, { governed: held }))).toEqual(['limit 0-300', ...rest]);
  });

  test('that was shed waited for a limit all the time', () => {
    const call = { outcome: 'error', error: 'queue_timeout', scheduledMs: null, firstTokenMs: null } as const;
    expect(told(ofCall(call))).toEqual(['limit 0-1100']);
  });

  test('waits for a cold start while a replica of its pool starts or none is ready, and else in a queue', () => {
    const call = { scheduledMs: 700, firstTokenMs: 800 };
    const rest = ['prefill 700-800', 'decode 800-1100'];
    const starting = aSpan({ replica: 'main/1', askedMs: 200, readyMs: 500 });
    expect(told(ofCall(call, { replicas: [aSpan(), starting] }))).toEqual([
      'queue 0-200',
      'cold 200-500',
      'queue 500-700',
      ...rest,
    ]);
    // Asked for at 300; before that there was none.
    const only = aSpan({ askedMs: 300, readyMs: 600 });
    expect(told(ofCall(call, { replicas: [only] }))).toEqual(['cold 0-600', 'queue 600-700', ...rest]);
    const elsewhere = [aSpan(), { ...starting, pool: 'other', replica: 'other/0' }];
    expect(told(ofCall(call, { replicas: elsewhere }))).toEqual(['queue 0-700', ...rest]);
  });

  test('has its time on links apart', () => {
    const transfers = [
      { startMs: 0, endMs: 5 },
      { startMs: 90, endMs: 100 },
      { startMs: 100, endMs: 130 },
    ];
    expect(told(ofCall({ transfers }))).toEqual([
      'transfer 0-5',
      'queue 5-10',
      'prefill 10-90',
      'transfer 90-100',
      'transfer 100-130',
      'decode 130-1100',
    ]);
  });
});

describe('a tool', () => {
  const ofTools = (...tools: Partial<ToolRecord>[]): string[] =>
    told(
      aRun({
        calls: [],
        nodes: [aNode({ call: 'fetch', kind: 'tool', endMs: 1000 })],
        governed: theGoverned({ tools: tools.map(aTool) }),
      }),
    );

  test('waits for a human, a sandbox and its start, and then runs', () => {
    expect(ofTools({ consentMs: 200, askedMs: 200, queueMs: 100, coldStartMs: 300, startMs: 600 })).toEqual([
      'human 0-200',
      'queue 200-300',
      'cold 300-600',
      'run 600-1000',
    ]);
  });

  test('that failed and ran again is retry until it did, whatever the failed run waited for', () => {
    const failed = {
      outcome: 'error',
      error: 'tool_failed',
      endMs: 300,
      queueMs: 50,
      waste: 'retried',
    } as const;
    expect(ofTools(failed, { attempt: 1, askedMs: 500 })).toEqual([
      'retry 0-300',
      'retry 300-500',
      'run 500-1000',
    ]);
  });

  test('of which nothing is known runs', () => {
    expect(ofTools()).toEqual(['run 0-1000']);
    expect(ofTools({})).toEqual(['run 0-1000']);
  });
});

/** Laws of phases and critical paths; returns the parts of all workflows. */
function checked(output: RunOutput) {
  const background = backgroundOf(output);
  const calls = bySession(output.calls);
  for (const node of output.nodes) {
    const call = calls.get(node.session)?.find(each => each.call === node.call);
    let atMs = node.startMs;
    for (const { startMs, endMs } of phasesOf(node, call, background)) {
      expect(startMs).toBeGreaterThanOrEqual(atMs);
      expect(endMs).toBeGreaterThan(startMs);
      atMs = endMs;
      expect(endMs).toBeLessThanOrEqual(node.endMs);
    }
  }
  for (const { endMs, plannedMs, criticalPath } of attachCriticalPaths(output))
    expect(totalMs(criticalPath)).toBeCloseTo((endMs ?? plannedMs) - plannedMs, 5);
  const result = summarise(output, sha256);
  const { causes, bySteps } = result.bottleneck!;
  if (causes.length > 0) expect(causes.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
  for (const { cause, ms } of causes) {
    const inSteps = bySteps.filter(row => row.cause === cause).reduce((sum, row) => sum + row.ms, 0);
    expect(inSteps).toBeLessThanOrEqual(ms + 1e-3);
  }
  return result.criticalPath;
}

describe('on runs, phases lie in order inside of their step, and the parts of a path sum to its length:', () => {
  test('places and links: calls travel', () => {
    const path = checked(simulatedOn('mixed-fleet', 'edge-and-central'));
    expect(path.transferMs).toBeGreaterThan(0);
  });

  test('prefill and decode apart: KV travels after the prompt', () => {
    const output = simulatedOn('chat', 'disaggregated-llama-3.1-70b');
    const path = checked(output);
    expect(path.transferMs).toBeGreaterThan(0);
    for (const { transfers = [], scheduledMs, endMs } of output.calls) {
      for (const { startMs, endMs: there } of transfers) {
        expect(startMs).toBeGreaterThan(scheduledMs!);
        expect(there).toBeGreaterThanOrEqual(startMs);
        expect(there).toBeLessThan(endMs!);
      }
    }
  });

  test('an autoscaler: calls wait for replicas that start', () => {
    const path = checked(simulatedOn('rag', 'autoscaled-llama-3.1-70b'));
    expect(path.coldMs).toBeGreaterThan(path.queueMs);
  });

  test('a made-up run behind a gateway, with attempts that fail', () => {
    const path = checked(aGovernedRun({ workflows: 60 }));
    expect(path.limitMs + path.retryMs).toBeGreaterThan(0);
  });

  test('a provider that refuses and one that fails: limit and retry', () => {
    const deployment = (limits: string, fail: string) => `
windtunnel: 1
deployment: api
providers:
  first:
    latency: { ttft: 200ms, tpot: 10ms }
    ${limits}
    ${fail}
    models: { frontier: { model: ministral-3-14b } }
gateway: { retry: { max: 8, errors: ["429", 5xx], backoff: 500ms..4s } }
`;
    const run = (text: string) => {
      const plan = planOf(workflowText('[ { llm: a, adds: 100, out: 10 }, { tool: fetch } ]', '', 12));
      const simulation = simulationOf(plan, deploymentOf(text));
      while (simulation.step(1000));
      return checked(simulation.finish());
    };
    const limited = run(deployment('limits: { rpm: 60, burst: 2s }', ''));
    expect(limited.limitMs).toBeGreaterThan(0);
    expect(limited.retryMs).toBe(0);
    const failing = run(deployment('', 'fail: 50%'));
    expect(failing.retryMs).toBeGreaterThan(0);
    expect(failing.limitMs).toBe(0);
  });
});

test('a session that starts again does not count what its life before tried', () => {
  const before = anAttempt({ outcome: 'error', reason: '5xx', waste: 'crash', sentMs: 0, endMs: 400 });
  const call = aCall({ plannedMs: 500, sentMs: 500, scheduledMs: 510, firstTokenMs: 600 });
  const output = aRun({
    calls: [call],
    nodes: [aNode({ startMs: 500 })],
    workflows: [aWorkflow()],
    governed: theGoverned({ attempts: [before] }),
  });
  expect(told(output)).toEqual(['queue 500-510', 'prefill 510-600', 'decode 600-1100']);
});
