// Fan-out of a trace: how many calls or sub-agents start together, how many run at once, and what sub-agents do.
import type { RecordedCall } from '../../formats/recorded.ts';
import type { TraceProfile } from '../../formats/trace-profile.ts';
import { peakWidth } from '../instants.ts';
import { MAIN, type ProfilePart, type SessionView } from './session-view.ts';
import { SpreadSketch } from './spread.ts';

type FanOut = Pick<TraceProfile, 'fanOut' | 'subagents'>;

/** Widths told apart; the last counts for that many and more. */
const WIDTH_MAX = 64;

export function fanOutPart(): ProfilePart<FanOut> {
  const width = new SpreadSketch({ whole: true });
  const widths = new Map<number, number>();
  const inFlight = new SpreadSketch({ whole: true });
  const agents = {
    perSession: new SpreadSketch({ whole: true }),
    calls: new SpreadSketch({ whole: true }),
    spanMs: new SpreadSketch(),
    firstPromptTokens: new SpreadSketch({ whole: true }),
  };
  let sessions = 0;

  return {
    add(view) {
      sessions += 1;
      inFlight.record(peakWidth(view.starts, view.ends));
      for (const spawned of spawnWidths(view.session.calls)) {
        width.record(spawned);
        const row = Math.min(spawned, WIDTH_MAX);
        widths.set(row, (widths.get(row) ?? 0) + 1);
      }
      if (view.threads.size > 1 || !view.threads.has(MAIN)) addAgents(view);
    },
    result: () => ({
      fanOut: {
        width: width.spread(),
        widths: [...widths].toSorted(([a], [b]) => a - b),
        inFlight: inFlight.spread()!,
      },
      subagents: {
        count: agents.calls.n,
        sessionsRatio: sessions === 0 ? 0 : agents.perSession.n / sessions,
        perSession: agents.perSession.spread(),
        calls: agents.calls.spread(),
        spanMs: agents.spanMs.spread(),
        firstPromptTokens: agents.firstPromptTokens.spread(),
      },
    }),
  };

  function addAgents({ session, threads, ends }: SessionView): void {
    const lastEndMs = new Map<string, number>();
    for (const [row, { agent }] of session.calls.entries())
      lastEndMs.set(agent, Math.max(lastEndMs.get(agent) ?? 0, ends[row]!));
    let count = 0;
    for (const [agent, calls] of threads) {
      if (agent === MAIN) continue;
      count += 1;
      agents.calls.record(calls.length);
      agents.firstPromptTokens.record(calls[0]!.promptTokens);
      agents.spanMs.record(lastEndMs.get(agent)! - calls[0]!.recorded.startMs);
    }
    agents.perSession.record(count);
  }
}

/**
 * How many start together at each point where work fans out: calls that wait for the same calls, if some of them are
 * sub-agents of that point (one alone counts), else if there are several. A call that merely goes on is no fan-out.
 */
export function spawnWidths(calls: readonly RecordedCall[]): number[] {
  if (calls.length < 2) return [];
  const agentOf = new Map(calls.map(call => [call.id, call.agent]));
  const groups = new Map<string, { spawned: number; going: number }>();
  for (const { agent, parents } of calls) {
    const point = parents.length < 2 ? (parents[0] ?? '') : JSON.stringify(parents.toSorted());
    const group = groups.get(point) ?? { spawned: 0, going: 0 };
    // Of several parents, a join: it goes on in the thread of any of them. The first call of a session goes on, too.
    if (parents.length === 0 || parents.some(parent => agentOf.get(parent) === agent)) group.going += 1;
    else group.spawned += 1;
    groups.set(point, group);
  }
  return [...groups.values()].flatMap(({ spawned, going }) => {
    if (spawned > 0) return [spawned];
    return going > 1 ? [going] : [];
  });
}
