// The made-up agent run of agents.ts behind a gateway: some attempts fail and are tried again, some sessions are ended
// early, tools run on sandboxes. No simulation: for tests of what is made of such records.
import { ledgerOf } from '../../gateway/ledger/ledger.ts';
import { extendText, seedKey, uniform } from '../../scenarios/base/key.ts';
import type {
  AnomalyRecord,
  AttemptRecord,
  CallRecord,
  CancelRecord,
  DecisionRecord,
  ToolRecord,
} from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { type AgentRunOptions, anAgentRun } from './agents.ts';
import { anAttempt, aSpan, aTool, theGoverned } from './records.ts';

const FRONTIER = { in: 3, cachedIn: 0.3, cacheWrite: 3.75, out: 15 };

const attemptOf = (call: CallRecord, fields: Partial<AttemptRecord>): AttemptRecord => {
  const { session, workflow, tenant, step, role, model, replica, promptTokens, cachedTokens } = call;
  const { computedTokens, outputTokens, sentMs, scheduledMs, firstTokenMs, endMs, outcome, error } = call;
  return anAttempt({
    ...{ session, workflow, tenant, step, role, model, replica, promptTokens, cachedTokens },
    ...{ computedTokens, outputTokens, sentMs, scheduledMs, firstTokenMs, endMs, outcome, error },
    call: call.call,
    target: call.pool,
    wantedMs: call.plannedMs,
    ...fields,
  });
};

export function aGovernedRun(options: AgentRunOptions = {}): RunOutput {
  const run = anAgentRun(options);
  const key = seedKey('governed');
  const chance = (name: string): number => uniform(extendText(key, name));
  const attempts: AttemptRecord[] = [];
  const decisions: DecisionRecord[] = [];
  for (const call of run.calls) {
    const { session } = call;
    const luck = chance(`${session} ${call.call}`);
    const spanMs = (call.endMs ?? run.durationMs) - call.plannedMs;
    const nothing = { outputTokens: 0, scheduledMs: null, firstTokenMs: null, computedTokens: null } as const;
    if (luck < 0.12) {
      const endMs = call.plannedMs + 0.1 * spanMs;
      attempts.push(
        attemptOf(call, {
          ...nothing,
          target: 'frontier',
          outcome: 'error',
          reason: '429',
          error: 'http_429',
          endMs,
          waste: 'failed',
        }),
      );
      decisions.push({
        atMs: endMs,
        session,
        call: call.call,
        policy: 'retry',
        decision: 'again',
        why: '429',
      });
      const kind = luck < 0.06 ? 'retry' : 'fallback';
      attempts.push(
        attemptOf(call, {
          attempt: 1,
          kind,
          because: '429',
          wantedMs: endMs,
          sentMs: endMs,
          ...(kind === 'retry' ? { target: 'frontier' } : {}),
        }),
      );
    } else if (luck < 0.16) {
      const hedgeMs = call.plannedMs + 0.2 * spanMs;
      const lost = Math.floor(call.outputTokens / 2);
      attempts.push(
        attemptOf(call, {
          outcome: 'cancelled',
          error: 'cancelled',
          outputTokens: lost,
          cancelledMs: call.plannedMs + 0.5 * spanMs,
          cancelledTokens: Math.floor(lost / 2),
          waste: 'hedged',
        }),
      );
      attempts.push(
        attemptOf(call, {
          attempt: 1,
          kind: 'hedge',
          target: 'frontier',
          wantedMs: hedgeMs,
          sentMs: hedgeMs,
        }),
      );
      decisions.push({
        atMs: hedgeMs,
        session,
        call: call.call,
        policy: 'hedge',
        decision: 'sent',
        why: 'no first token',
      });
    } else attempts.push(attemptOf(call, luck > 0.9 ? { target: 'frontier', scheduledMs: null } : {}));
  }
  const tools: ToolRecord[] = run.nodes
    .filter(({ kind, status }) => kind === 'tool' && status !== 'skipped')
    .map(node =>
      aTool({
        session: node.session,
        call: node.call,
        step: node.step,
        tool: node.step,
        workflow: run.workflows.find(({ session }) => session === node.session)!.workflow,
        askedMs: node.startMs,
        startMs: node.startMs,
        endMs: node.endMs,
        isCold: chance(`${node.session} ${node.call} cold`) < 0.3,
        queueMs: 5,
        usd: 0.0002,
      }),
    );
  const ended = run.workflows.filter(({ session }) => chance(`${session} leaves`) < 0.1);
  const cancels: CancelRecord[] = ended.map(({ session, workflow, endMs }) => ({
    session,
    workflow,
    reason: 'user_left',
    atMs: endMs! - 300,
    cleanMs: endMs!,
    calls: 1,
    tools: 0,
    tokensAfter: 12,
  }));
  const anomalies: AnomalyRecord[] = run.workflows.map(({ session, workflow, promptTokens }) => ({
    session,
    workflow,
    injected: chance(`${session} loops`) < 0.2 ? 'loop' : null,
    flagged: chance(`${session} loops`) < 0.15 ? [{ rule: 'repeats', atMs: 1 }] : [],
    tokens: promptTokens,
    tokensUnstopped: null,
  }));
  const governed = theGoverned({
    attempts,
    tools,
    decisions,
    cancels,
    anomalies,
    classifierUsd: 0.01,
    idleToolsUsd: 0,
  });
  const replicas = ['main/0', 'main/1'].map(replica => aSpan({ replica, usdPerGpuHour: 2.5 }));
  const busy = replicas.map(({ pool, replica }) => ({ pool, replica, busyMs: 0.6 * run.durationMs }));
  const whole: RunOutput = {
    ...run,
    workflows: run.workflows.map(workflow =>
      ended.includes(workflow) ? { ...workflow, status: 'cancelled', error: 'user_left' } : workflow,
    ),
    governed,
    replicas,
    busy,
  };
  const rate = { prefillNs: 40_000, decodeNs: 150_000, contextNs: 20 };
  const ledger = ledgerOf(whole, {
    rates: new Map([['main', rate]]),
    price: target => (target === 'frontier' ? FRONTIER : null),
  });
  const near = { in: 0.4, cachedIn: 0.04, cacheWrite: 0.4, out: 1.6 };
  const hosting = {
    pools: ['main'],
    offers: [{ model: 'vendor/near', price: near, relation: 'near', asOf: '2026-11-21' } as const],
  };
  return { ...whole, ledger, hosting };
}
