// A made-up but lifelike run of three agent workflows (a fan-out, a chain with tools and a person, an evaluator
// loop), drawn from a seed, for tests of the summary and the page. It is no simulation: a wave of load stands in for
// the cluster.
import { Histogram } from '../../scenarios/base/histogram.ts';
import { extend, extendText, type Key, seedKey, uniform } from '../../scenarios/base/key.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { CallRecord, NodeKind, NodeRecord, TimelineSample } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { aCall, aHeader, aNode, aRun, aWorkflow } from './records.ts';

export interface AgentRunOptions {
  seed?: number;
  workflows?: number;
  world?: 'sim' | 'live';
  /** Multiplies every engine time, e.g. 1.04 for a live run that is a little slower. */
  slowdown?: number;
  assertions?: Assertion[];
  /** Which of the three workflows run. */
  kinds?: ('research' | 'support' | 'critic')[];
}

const REPLICAS = ['main/0', 'main/1'];

/** Lognormal-like: the median times e to a rough normal. */
function draw(key: Key, name: string, median: number, spread: number): number {
  const at = extendText(key, name);
  const z = uniform(extend(at, 1)) + uniform(extend(at, 2)) + uniform(extend(at, 3)) - 1.5;
  return median * Math.exp(2 * spread * z);
}

/** One session being drawn: its records and how to add a step. */
class Session {
  readonly calls: CallRecord[] = [];
  readonly nodes: NodeRecord[] = [];
  readonly key: Key;
  readonly name: string;
  readonly workflow: string;
  readonly startMs: number;
  private readonly live: boolean;
  private readonly slowdown: number;
  private readonly itl: Histogram;

  constructor(fields: {
    key: Key;
    name: string;
    workflow: string;
    startMs: number;
    live: boolean;
    slowdown: number;
    itl: Histogram;
  }) {
    this.key = fields.key;
    this.name = fields.name;
    this.workflow = fields.workflow;
    this.startMs = fields.startMs;
    this.live = fields.live;
    this.slowdown = fields.slowdown;
    this.itl = fields.itl;
  }

  other(
    call: string,
    kind: Exclude<NodeKind, 'llm'>,
    cause: NodeRecord | null,
    medianMs: number,
  ): NodeRecord {
    const startMs = cause?.endMs ?? this.startMs;
    const node = aNode({
      session: this.name,
      call,
      step: call.replace(/\[\d+\]/g, ''),
      kind,
      startMs,
      endMs: startMs + draw(this.key, call, medianMs, 0.5),
      cause: cause?.call ?? null,
    });
    this.nodes.push(node);
    return node;
  }

  llm(
    call: string,
    cause: NodeRecord | null,
    want: {
      role: string;
      system: number;
      history?: number;
      input: number;
      output: number;
      iteration?: number;
    },
  ): NodeRecord {
    const key = extendText(this.key, call);
    const plannedMs = cause?.endMs ?? this.startMs;
    const wave = Math.max(0, Math.sin(plannedMs / 9000)) ** 2;
    const input = Math.round(draw(key, 'input', want.input, 0.3));
    const history = Math.round(want.history ?? 0);
    const promptTokens = want.system + history + input;
    const warm = uniform(extend(key, 4)) < 0.93;
    const cachedTokens = Math.floor((warm ? want.system + history * 0.96 : want.system * 0.4) / 16) * 16;
    const outputTokens = Math.max(2, Math.round(draw(key, 'output', want.output, 0.4)));
    const itlMs = (11 + 9 * wave) * this.slowdown;
    const lagMs = this.live ? draw(key, 'lag', 0.4, 0.4) : 0;
    const sentMs = plannedMs + lagMs;
    const scheduledMs = sentMs + draw(key, 'queue', 2 + 500 * wave, 0.6) * this.slowdown;
    const firstTokenMs = scheduledMs + (20 + (promptTokens - cachedTokens) * 0.11) * this.slowdown;
    for (let token = 1; token < outputTokens; token++) {
      this.itl.record(itlMs * (0.85 + 0.3 * uniform(extend(key, 5, token))));
    }
    const failed = uniform(extend(key, 6)) < 0.006;
    const endMs = failed ? sentMs + 30 : firstTokenMs + itlMs * (outputTokens - 1);
    const step = call.replace(/\[\d+\]/g, '');
    this.calls.push(
      aCall({
        session: this.name,
        cohort: 'analysts',
        workflow: this.workflow,
        call,
        step,
        role: want.role,
        replica: REPLICAS[Math.floor(uniform(extend(key, 7)) * 2)]!,
        iteration: want.iteration ?? null,
        loop: want.iteration === undefined ? null : 'loop',
        promptTokens,
        cachedTokens: failed ? null : cachedTokens,
        computedTokens: failed || this.live ? null : promptTokens - cachedTokens,
        outputTokens: failed ? 0 : outputTokens,
        plannedMs,
        sentMs,
        scheduledMs: failed || this.live ? null : scheduledMs,
        firstTokenMs: failed ? null : firstTokenMs,
        endMs,
        itlMsMax: failed ? null : itlMs * 1.15,
        preemptions: wave > 0.97 && uniform(extend(key, 8)) < 0.2 ? 1 : 0,
        outcome: failed ? 'error' : 'ok',
        error: failed ? 'http_429' : null,
        parts: [
          { segment: 'system', tokens: want.system },
          ...(history > 0 ? [{ segment: 'history', tokens: history }] : []),
          { segment: 'input', tokens: input },
        ],
      }),
    );
    const node = aNode({
      session: this.name,
      call,
      step,
      role: want.role,
      startMs: plannedMs,
      endMs,
      status: failed ? 'failed' : 'completed',
      cause: cause?.call ?? null,
    });
    this.nodes.push(node);
    return node;
  }
}

const latest = (nodes: NodeRecord[]): NodeRecord => nodes.reduce((a, b) => (b.endMs > a.endMs ? b : a));

const WORKFLOWS: Record<string, (session: Session) => void> = {
  /** Fan-out: a planner, five to nine searchers with tools, a writer. */
  research(session) {
    const plan = session.llm('plan', null, { role: 'planner', system: 3200, input: 400, output: 220 });
    const width = 5 + Math.floor(uniform(extendText(session.key, 'width')) * 5);
    const ends: NodeRecord[] = [];
    for (let i = 0; i < width; i++) {
      const search = session.other(`search[${i}]`, 'tool', plan, 650);
      ends.push(
        session.llm(`read[${i}]`, search, { role: 'worker', system: 1600, input: 5200, output: 180 }),
      );
    }
    session.llm('write', latest(ends), {
      role: 'final',
      system: 3200,
      history: 600,
      input: 1700,
      output: 620,
    });
  },
  /** Chain: understand, look up, answer, a person replies, answer again. */
  support(session) {
    const triage = session.llm('triage', null, { role: 'router', system: 900, input: 250, output: 30 });
    const lookup = session.other('lookup', 'tool', triage, 320);
    const answer = session.llm('answer', lookup, { role: 'worker', system: 2400, input: 900, output: 210 });
    const reply = session.other('reply', 'human', answer, 2600);
    session.llm('follow_up', reply, { role: 'worker', system: 2400, history: 1100, input: 120, output: 160 });
  },
  /** Evaluator loop: draft, review, revise until it is good. */
  critic(session) {
    let last = session.llm('draft', null, { role: 'worker', system: 1800, input: 700, output: 420 });
    const rounds = 1 + Math.floor(uniform(extendText(session.key, 'rounds')) ** 2 * 4);
    for (let round = 0; round < rounds; round++) {
      const history = 700 + 900 * (round + 1);
      last = session.llm(`refine[${round}]/review`, last, {
        role: 'evaluator',
        system: 1200,
        history,
        input: 60,
        output: 140,
        iteration: round,
      });
      last = session.llm(`refine[${round}]/revise`, last, {
        role: 'worker',
        system: 1800,
        history: history + 150,
        input: 60,
        output: 380,
        iteration: round,
      });
    }
  },
};

function sampled(calls: CallRecord[], durationMs: number): TimelineSample[] {
  const timeline: TimelineSample[] = [];
  const everyMs = Math.max(100, durationMs / 3000);
  for (let atMs = 0; atMs <= durationMs; atMs += everyMs) {
    for (const replica of REPLICAS) {
      const own = calls.filter(
        call => call.replica === replica && call.sentMs! <= atMs && call.endMs! > atMs,
      );
      const waiting = own.filter(call => (call.scheduledMs ?? call.firstTokenMs ?? 0) > atMs).length;
      timeline.push({
        atMs,
        pool: 'main',
        replica,
        runningRequests: own.length - waiting,
        waitingRequests: waiting,
        kvUsedRatio: Math.min(1, (own.length - waiting) / 30),
      });
    }
  }
  return timeline;
}

/** The run of a day in small: equal options, equal records. */
export function anAgentRun(options: AgentRunOptions = {}): RunOutput {
  const { seed = 7, workflows: count = 120, world = 'sim', slowdown = 1, assertions = [] } = options;
  const root = seedKey(seed);
  const itl = new Histogram();
  const names = options.kinds ?? Object.keys(WORKFLOWS);
  const sessions: Session[] = [];
  let startMs = 0;
  for (let i = 0; i < count; i++) {
    const key = extend(root, i);
    startMs += -Math.log(uniform(extend(key, 1))) * 420;
    const workflow = names[i % names.length]!;
    const session = new Session({
      key,
      name: `analysts/${i}`,
      workflow,
      startMs,
      live: world === 'live',
      slowdown,
      itl,
    });
    WORKFLOWS[workflow]!(session);
    sessions.push(session);
  }
  const byEnd = <T extends { endMs: number | null }>(a: T, b: T) => (a.endMs ?? 0) - (b.endMs ?? 0);
  const calls = sessions.flatMap(session => session.calls).sort(byEnd);
  const nodes = sessions.flatMap(session => session.nodes).sort(byEnd);
  const workflows = sessions
    .map(session => {
      const failed = session.calls.some(({ outcome }) => outcome === 'error');
      return aWorkflow({
        session: session.name,
        cohort: 'analysts',
        workflow: session.workflow,
        plannedMs: session.startMs,
        startMs: session.startMs,
        endMs: latest(session.nodes).endMs,
        status: failed ? 'failed' : 'completed',
        error: failed ? 'http_429' : null,
        calls: session.calls.length,
        toolCalls: session.nodes.filter(({ kind }) => kind === 'tool').length,
        promptTokens: session.calls.reduce((sum, call) => sum + call.promptTokens, 0),
        cachedTokens: session.calls.reduce((sum, call) => sum + (call.cachedTokens ?? 0), 0),
        outputTokens: session.calls.reduce((sum, call) => sum + call.outputTokens, 0),
      });
    })
    .sort(byEnd);
  const durationMs = Math.max(...workflows.map(({ endMs }) => endMs ?? 0));
  return aRun({
    header: aHeader({
      world,
      seed,
      scenario: { name: 'three-agents', sha256: 'a'.repeat(64) },
      deployment: { name: '2x-h100', sha256: 'b'.repeat(64) },
      command: `windtunnel ${world === 'sim' ? 'simulate' : 'replay'} three-agents.yaml -d 2x-h100.yaml --seed ${seed}`,
      evidence: ['Step model: roofline of the H100 with fitted factors, for ranking only.'],
      warnings:
        world === 'live' ? ['Queueing is inside prefill: the server does not report when it scheduled.'] : [],
    }),
    calls,
    nodes,
    workflows,
    timeline: sampled(calls, durationMs),
    itlMs: itl.toCounts(),
    assertions,
    durationMs,
  });
}
