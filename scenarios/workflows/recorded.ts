// The program of a recorded session: its calls as a graph. Causal timing waits for the parents and then for the recorded
// gap; absolute timing keeps the recorded instants whatever the parents do.
import { textKey } from '../base/key.ts';
import type { PromptPart } from '../formats/prompt.ts';
import type { NodeKind } from '../formats/record.ts';
import type { RecordedCall, RecordedSession } from '../formats/recorded.ts';
import { type Call, type Ending, type Frame, type Host, NO_ANSWER, type Program } from './progress.ts';
import { contentOf } from './recorded-content.ts';

export interface RecordedOptions {
  timing: 'causal' | 'absolute';
  /** Multiplies gaps (causal) or instants (absolute). */
  gapScale: number;
  /** Longest gap kept, ms; Infinity keeps all. */
  gapCapMs: number;
  /** Shrinks every length, 0 < s <= 1. */
  scaleTokens: number;
  /** The first prompt of the session is already in the cache. */
  warm: boolean;
  /** Serve every call by this model instead of the recorded one. */
  model: string | null;
}

const GAP_KIND: Record<RecordedCall['gapKind'], NodeKind> = {
  tool: 'tool',
  human: 'human',
  client: 'wait',
  unknown: 'wait',
};

/** The last call of each agent tells how its prompt differs: what came before, and what is new. */
function partsOf(
  session: RecordedSession,
  call: RecordedCall,
  promptTokens: number,
  fullTokens: number,
  previous: RecordedCall | undefined,
): PromptPart[] {
  const scale = promptTokens / Math.max(1, fullTokens);
  const isFirst = previous === undefined;
  const system = isFirst && call.agent !== 'main' ? 0 : Math.min(session.systemTokens, call.promptTokens);
  const before = isFirst
    ? system
    : Math.min(previous.promptTokens + previous.outputTokens, call.promptTokens);
  const systemTokens = Math.min(promptTokens, Math.round(system * scale));
  const historyTokens = Math.max(0, Math.min(promptTokens, Math.round(before * scale)) - systemTokens);
  const parts = [
    { segment: 'system', tokens: systemTokens },
    { segment: 'history', tokens: historyTokens },
    { segment: 'input', tokens: promptTokens - systemTokens - historyTokens },
  ];
  return parts.filter(part => part.tokens > 0);
}

class RecordedFrame implements Frame {
  readonly parent: Frame;
  private readonly host: Host;
  private readonly session: RecordedSession;
  private readonly calls: readonly Call[];
  private readonly options: RecordedOptions;
  private readonly waitsFor: number[];
  private readonly children: number[][];
  private readonly live = new Map<number, number>();
  private left: number;

  constructor(
    host: Host,
    parent: Frame,
    session: RecordedSession,
    calls: readonly Call[],
    options: RecordedOptions,
  ) {
    this.host = host;
    this.parent = parent;
    this.session = session;
    this.calls = calls;
    this.options = options;
    const rowOf = new Map(session.calls.map((call, row) => [call.id, row]));
    this.children = session.calls.map(() => []);
    this.waitsFor = session.calls.map((call, row) => {
      if (options.timing === 'absolute') return 0;
      for (const parentId of call.parents) this.children[rowOf.get(parentId) as number]?.push(row);
      return call.parents.length;
    });
    this.left = session.calls.length;
  }

  begin(cause: string | null): void {
    const { isFinalizing } = this.host;
    if (isFinalizing) for (const row of this.calls.keys()) this.skipCall(row);
    if (isFinalizing || this.left === 0) {
      this.parent.childEnded(0, { ok: true, answer: NO_ANSWER }, cause);
      return;
    }
    for (const [row, waits] of this.waitsFor.entries()) if (waits === 0) this.startGap(row, cause);
  }

  private startGap(row: number, cause: string | null): void {
    const call = this.session.calls[row] as RecordedCall;
    const gapMs = this.options.timing === 'absolute' ? call.recorded.startMs : call.gapMs;
    const delayMs = Math.min(gapMs * this.options.gapScale, this.options.gapCapMs);
    if (delayMs <= 0) {
      this.startCall(row, cause);
      return;
    }
    const kind = this.options.timing === 'absolute' ? 'wait' : GAP_KIND[call.gapKind];
    const leaf = {
      path: `${call.id}/${kind}`,
      step: kind,
      kind,
      call: null,
      delayMs,
      answer: NO_ANSWER,
      tool: null,
    };
    this.live.set(row, this.host.startLeaf(this, row * 2, leaf, cause));
  }

  private startCall(row: number, cause: string | null): void {
    const call = this.calls[row] as Call;
    const path = (this.session.calls[row] as RecordedCall).id;
    const { step } = call;
    const leaf = { path, step, kind: 'llm' as const, call, delayMs: 0, answer: NO_ANSWER, tool: null };
    this.live.set(row, this.host.startLeaf(this, row * 2 + 1, leaf, cause));
  }

  childEnded(child: number, ending: Ending, cause: string | null): void {
    const row = child >> 1;
    const isGap = child % 2 === 0;
    this.live.delete(row);
    if (!ending.ok) {
      // One refused call ends its session: later prompts rest on its answer.
      if (isGap) this.skipCall(row);
      this.cancel();
      this.skipRest();
      this.parent.childEnded(0, ending, cause);
      return;
    }
    if (this.host.isFinalizing) {
      // No recorded call is a final one.
      if (isGap) this.skipCall(row);
      if (this.live.size > 0) return;
      this.skipRest();
      this.parent.childEnded(0, { ok: true, answer: NO_ANSWER }, cause);
      return;
    }
    if (isGap) {
      this.startCall(row, cause);
      return;
    }
    this.left--;
    for (const next of this.children[row] as number[]) {
      const waits = (this.waitsFor[next] as number) - 1;
      this.waitsFor[next] = waits;
      if (waits === 0) this.startGap(next, cause);
    }
    if (this.left === 0) this.parent.childEnded(0, { ok: true, answer: NO_ANSWER }, cause);
  }

  private skipRest(): void {
    for (const [row, waits] of this.waitsFor.entries()) if (waits > 0) this.skipCall(row);
  }

  private skipCall(row: number): void {
    const { id } = this.session.calls[row] as RecordedCall;
    this.host.skip(id, (this.calls[row] as Call).step, 'llm', null);
  }

  cancel(): void {
    for (const leaf of this.live.values()) this.host.cancelLeaf(leaf);
    this.live.clear();
  }
}

/** Compiles one recorded session; prompts are made of the trace's own blocks. */
export function recordedProgram(session: RecordedSession, options: RecordedOptions): Program {
  let calls: Call[] | null = null;
  const compile = (): Call[] => {
    const contents = contentOf(session, { scaleTokens: options.scaleTokens });
    const previous = new Map<string, RecordedCall>();
    return session.calls.map(call => {
      const content = contents.get(call.id)!;
      const parts = partsOf(session, call, content.promptTokens, call.promptTokens, previous.get(call.agent));
      previous.set(call.agent, call);
      return {
        step: call.agent,
        role: call.agent === 'main' ? 'main' : 'sub-agent',
        model: options.model ?? call.model,
        priority: null,
        iteration: null,
        loop: null,
        prompt: content.prompt,
        parts,
        promptTokens: content.promptTokens,
        outputTokens: content.outputTokens,
        reasoningTokens: content.reasoningTokens,
        output: content.output,
        warmTokens: Math.max(content.primedTokens, options.warm ? content.warmTokens : 0),
        argsKey: textKey(call.id),
        agentDepth: call.agent === 'main' ? 0 : 1,
      };
    });
  };
  return {
    workflow: 'recorded',
    get waitsFor() {
      if (options.timing === 'absolute') return session.calls.map(() => []);
      const rowOf = new Map(session.calls.map(({ id }, row) => [id, row]));
      return session.calls.map(({ parents }) => parents.map(parent => rowOf.get(parent) as number));
    },
    open(host, root) {
      calls ??= compile();
      return new RecordedFrame(host, root, session, calls, options);
    },
  };
}
