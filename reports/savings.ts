// What a workflow would gain if one step took no time: the critical path is walked anew without it, so the gain ends
// where another path becomes the longest.
import type { NodeRecord } from '../scenarios/formats/record.ts';
import { criticalNodes } from './critical-path.ts';
import { baseOf } from './lanes.ts';

/** The longest steps of a path that are tried; each costs a walk over the session. */
const TRIED_MAX = 60;

/** Steps whose end released nothing, by where a later step could have waited for them. */
interface Waiter {
  base: string;
  /** In order of start. */
  rows: number[];
}

const containerOf = (segments: readonly string[], depth: number): string =>
  segments.slice(0, depth).join('/');

/** Steps by the path that holds them and their name there, each in order of start. */
function waitersOf(nodes: readonly NodeRecord[]): Map<string, Waiter[]> {
  const waiters = new Map<string, Waiter[]>();
  const order = nodes.map((_, row) => row).sort((a, b) => nodes[a]!.startMs - nodes[b]!.startMs || a - b);
  for (const row of order) {
    const segments = nodes[row]!.call.split('/');
    const container = containerOf(segments, segments.length - 1);
    const base = baseOf(segments.at(-1)!);
    const groups = waiters.get(container) ?? [];
    waiters.set(container, groups);
    const group = groups.find(each => each.base === base);
    if (group === undefined) groups.push({ base, rows: [row] });
    else group.rows.push(row);
  }
  return waiters;
}

/** The first row of a group that starts at or after an instant; rows are in order of start. */
function firstFrom(rows: readonly number[], nodes: readonly NodeRecord[], atMs: number): number | undefined {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (nodes[rows[middle]!]!.startMs < atMs) low = middle + 1;
    else high = middle;
  }
  return rows[low];
}

/**
 * What each step waited for: its cause, and the ends of the other branches that it joins. Records name the last one to
 * end alone; a step that released nothing was waited for by the next step of a path that holds its own.
 */
function waitedFor(nodes: readonly NodeRecord[]): number[][] {
  const rowOf = new Map(nodes.map(({ call }, row) => [call, row]));
  const before: number[][] = nodes.map(() => []);
  const released = new Set<number>();
  for (const [row, { cause }] of nodes.entries()) {
    const by = cause === null ? undefined : rowOf.get(cause);
    if (by === undefined || by === row) continue;
    before[row]!.push(by);
    released.add(by);
  }
  const waiters = waitersOf(nodes);
  for (const [row, node] of nodes.entries()) {
    if (released.has(row) || node.status === 'cancelled') continue;
    const segments = node.call.split('/');
    let next: number | undefined;
    for (let depth = segments.length - 1; depth >= 0; depth--) {
      for (const { base, rows } of waiters.get(containerOf(segments, depth)) ?? []) {
        // Siblings of a map do not wait for one another.
        if (base === baseOf(segments[depth]!)) continue;
        const candidate = firstFrom(rows, nodes, node.endMs);
        if (candidate === undefined || candidate === row) continue;
        if (next === undefined || nodes[candidate]!.startMs < nodes[next]!.startMs) next = candidate;
      }
    }
    if (next !== undefined) before[next]!.push(row);
  }
  return before;
}

/** Rows so that each comes after all that it waited for; those of a circle are left out. */
function inOrder(before: readonly number[][]): number[] {
  const after: number[][] = before.map(() => []);
  const waits = before.map(({ length }) => length);
  for (const [row, rows] of before.entries()) for (const by of rows) after[by]!.push(row);
  const order = waits.flatMap((count, row) => (count === 0 ? [row] : []));
  for (let i = 0; i < order.length; i++) {
    for (const row of after[order[i]!]!) {
      waits[row]!--;
      if (waits[row] === 0) order.push(row);
    }
  }
  return order;
}

/**
 * By call of a session's critical path: how much sooner the workflow would end if that step took no time at all, ms.
 * The 60 longest steps; any other step saves nothing.
 */
export function savingsMs(nodes: readonly NodeRecord[]): Map<string, number> {
  const path = criticalNodes(nodes);
  const [last] = path;
  if (last === undefined) return new Map();
  const before = waitedFor(nodes);
  const order = inOrder(before);
  const rowOf = new Map(nodes.map(({ call }, row) => [call, row]));
  // What lies between the last end that a step waited for and its own start stays.
  const gapMs = nodes.map(({ startMs }, row) =>
    before[row]!.length === 0 ? startMs : startMs - Math.max(...before[row]!.map(by => nodes[by]!.endMs)),
  );
  const counts = nodes.map(({ status }) =>
    status !== 'skipped' && status !== last.status ? status !== 'cancelled' : status !== 'skipped',
  );
  const endsMs = new Float64Array(nodes.length);
  const endWithout = (gone: number): number => {
    for (const [row, { endMs }] of nodes.entries()) endsMs[row] = endMs;
    for (const row of order) {
      let fromMs = 0;
      for (const [i, by] of before[row]!.entries())
        fromMs = i === 0 ? endsMs[by]! : Math.max(fromMs, endsMs[by]!);
      const node = nodes[row]!;
      endsMs[row] = fromMs + gapMs[row]! + (row === gone ? 0 : node.endMs - node.startMs);
    }
    let endMs = Number.NEGATIVE_INFINITY;
    for (const [row, isCounted] of counts.entries()) if (isCounted) endMs = Math.max(endMs, endsMs[row]!);
    return endMs;
  };
  const longest = [...path]
    .sort((a, b) => b.endMs - b.startMs - (a.endMs - a.startMs) || (a.call < b.call ? -1 : 1))
    .slice(0, TRIED_MAX);
  return new Map(
    longest.map(node => [node.call, Math.max(0, last.endMs - endWithout(rowOf.get(node.call)!))]),
  );
}
