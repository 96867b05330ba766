// Walks sessions in an ideal world: every call takes the same nominal time, nothing queues. What `check` announces and
// what a written plan lists come from here; no cluster is needed.
import { Heap } from '../base/heap.ts';
import type { PlannedSession } from '../formats/plan.ts';
import type { NodeRecord } from '../formats/record.ts';
import { type Action, type Call, SessionProgress } from './progress.ts';

export interface Walked {
  readonly status: 'completed' | 'failed' | 'cancelled';
  readonly calls: readonly Call[];
  readonly nodes: readonly NodeRecord[];
  readonly toolCalls: number;
  readonly makespanMs: number;
  /** Most calls in flight at once. */
  readonly widthMax: number;
}

interface Due {
  readonly atMs: number;
  readonly sequence: number;
  readonly row: number;
}

/** One session to its end; a call takes `callMs(call)`. */
export function walk(session: PlannedSession, callMs: (call: Call) => number = () => 1000): Walked {
  const nodes: NodeRecord[] = [];
  const calls: Call[] = [];
  const progress = new SessionProgress(session.id, session.key, session.program, {
    onNode: node => nodes.push(node),
  });
  const due = new Heap<Due>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence));
  const live = new Map<number, boolean>();
  let status: Walked['status'] = 'completed';
  let sequence = 0;
  let nowMs = 0;
  let inFlight = 0;
  let widthMax = 0;
  let toolCalls = 0;
  const act = (actions: readonly Action[]): void => {
    for (const action of actions) {
      if (action.kind === 'done') status = action.status;
      else if (action.kind === 'abort') {
        if (live.get(action.node.row) === true) inFlight--;
        live.delete(action.node.row);
      } else {
        const isCall = action.kind === 'call';
        live.set(action.node.row, isCall);
        due.push({
          atMs: nowMs + (isCall ? callMs(action.call) : action.delayMs),
          sequence: sequence++,
          row: action.node.row,
        });
        if (isCall) {
          calls.push(action.call);
          widthMax = Math.max(widthMax, ++inFlight);
        } else if (action.node.kind === 'tool') toolCalls++;
      }
    }
  };
  act(progress.start(0));
  for (let next = due.pop(); next !== undefined; next = due.pop()) {
    const isCall = live.get(next.row);
    if (isCall === undefined) continue;
    live.delete(next.row);
    if (isCall) inFlight--;
    nowMs = next.atMs;
    act(progress.finish(next.row, null, nowMs));
  }
  return { status, calls, nodes, toolCalls, makespanMs: nowMs, widthMax };
}
