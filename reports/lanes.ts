// Who did a step: the branch or sub-agent that its path leads through. Passes of a loop are one agent's work, one after
// the other, so a loop is no lane of its own.

/** `companies[3]` of `companies[3]/refine[1]/draft`, where `refine` is a loop; empty: the workflow itself. */
export const laneOf = (call: string, loops: ReadonlySet<string>): string =>
  call
    .split('/')
    .slice(0, -1)
    .filter(segment => !loops.has(baseOf(segment)))
    .join('/');

/** `classify` of `classify[7]`. */
export const baseOf = (segment: string): string => segment.replace(/\[\d+\]$/, '');

/** The first `depth` agents of a lane. */
export const laneAtDepth = (lane: string, depth: number): string => lane.split('/').slice(0, depth).join('/');
