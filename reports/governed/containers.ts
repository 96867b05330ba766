// What steps are inside of: passes of loops, branches, items of a map, sub-agents. A container that runs beside another
// of its list is a lane, and a thread of its own.

/** A step of a session: its path, and when it ran. */
export interface Placed {
  readonly path: string;
  readonly startMs: number;
  readonly endMs: number;
}

export interface Container extends Placed {
  /** Path of the container around it; empty: the session. */
  readonly parent: string;
  /** Its name without its number: `workers` of `workers[0]`. */
  readonly name: string;
  readonly isLane: boolean;
}

/** The path that a step or container is in; empty: the session itself. */
export const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

interface Extent {
  startMs: number;
  endMs: number;
}

/** Every container of the leaves, outer ones first. */
export function containersOf(leaves: readonly Placed[]): Container[] {
  const extents = new Map<string, Extent>();
  for (const { path, startMs, endMs } of leaves)
    for (let up = parentOf(path); up !== ''; up = parentOf(up)) {
      const extent = extents.get(up);
      if (extent === undefined) extents.set(up, { startMs, endMs });
      else {
        extent.startMs = Math.min(extent.startMs, startMs);
        extent.endMs = Math.max(extent.endMs, endMs);
      }
    }
  const lists = Map.groupBy<string, Placed>(
    [...leaves, ...[...extents].map(([path, extent]) => ({ path, ...extent }))],
    ({ path }) => parentOf(path),
  );
  const lanes = new Set([...lists.values()].flatMap(overlapping));
  return [...extents]
    .map(([path, extent]) => ({
      path,
      ...extent,
      parent: parentOf(path),
      name: path.slice(path.lastIndexOf('/') + 1).replace(/\[\d+\]$/, ''),
      isLane: lanes.has(path),
    }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Paths of those that run while another of the list does. */
function overlapping(list: readonly Placed[]): string[] {
  const byStart = list.toSorted((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
  const found: string[] = [];
  let longest: Placed | null = null;
  for (const each of byStart) {
    if (longest !== null && each.startMs < longest.endMs) found.push(longest.path, each.path);
    if (longest === null || each.endMs > longest.endMs) longest = each;
  }
  return found;
}
