// The critical path of a workflow: from its last-ending node back through what released each. Its parts sum to the
// makespan, so a second saved on the path is a second saved, until another path becomes the longest.
import {
  type CallRecord,
  type CriticalPath,
  type NodeRecord,
  noTime,
  type WorkflowRecord,
} from '../scenarios/formats/record.ts';
import type { BarPhase } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { type Background, backgroundOf, phasesOf } from './phases.ts';

export const CRITICAL_PARTS = [
  'queueMs',
  'prefillMs',
  'decodeMs',
  'toolMs',
  'humanMs',
  'waitMs',
  'retryMs',
  'limitMs',
  'coldMs',
  'transferMs',
  'otherMs',
] as const satisfies (keyof CriticalPath)[];

export const totalMs = (path: CriticalPath): number =>
  CRITICAL_PARTS.reduce((sum, part) => sum + path[part], 0);

const ran = (node: NodeRecord): boolean => node.status !== 'skipped';

/** Whether `a` is a better end of the path than `b`: later, then completed, then the later to start, then by name. */
function endsAfter(a: NodeRecord, b: NodeRecord): boolean {
  if (a.endMs !== b.endMs) return a.endMs > b.endMs;
  const aDone = a.status === 'completed';
  if (aDone !== (b.status === 'completed')) return aDone;
  return a.startMs !== b.startMs ? a.startMs > b.startMs : a.call < b.call;
}

/** The nodes on the critical path of one session, last first. */
export function criticalNodes(nodes: readonly NodeRecord[]): NodeRecord[] {
  const byCall = new Map(nodes.map(node => [node.call, node]));
  let node: NodeRecord | undefined;
  for (const candidate of nodes) {
    if (ran(candidate) && (node === undefined || endsAfter(candidate, node))) node = candidate;
  }
  const path: NodeRecord[] = [];
  const seen = new Set<string>();
  while (node !== undefined && !seen.has(node.call)) {
    seen.add(node.call);
    if (ran(node)) path.push(node);
    node = node.cause === null ? undefined : byCall.get(node.cause);
  }
  return path;
}

const KIND_PART = { llm: 'prefillMs', tool: 'toolMs', human: 'humanMs', wait: 'waitMs' } as const;
const PHASE_PART: Record<Exclude<BarPhase, 'run'>, keyof CriticalPath> = {
  queue: 'queueMs',
  prefill: 'prefillMs',
  decode: 'decodeMs',
  retry: 'retryMs',
  limit: 'limitMs',
  cold: 'coldMs',
  transfer: 'transferMs',
  human: 'humanMs',
};

/** Told of each stretch of the critical path of a workflow. */
export type OnPart = (
  workflow: WorkflowRecord,
  node: NodeRecord,
  part: keyof CriticalPath,
  ms: number,
) => void;

/**
 * Where the time of one workflow went. `nodes` and `calls` are those of its session. The parts sum to end − planned
 * start; what no node on the path accounts for (gaps after a cause, our own lag) is `otherMs`.
 */
export function criticalPath(
  workflow: WorkflowRecord,
  nodes: readonly NodeRecord[],
  calls: readonly CallRecord[],
  background?: Background,
  onPart?: OnPart,
): CriticalPath {
  const path = noTime();
  const onPath = criticalNodes(nodes);
  const endMs = workflow.endMs ?? onPath[0]?.endMs ?? workflow.plannedMs;
  const byCall = new Map(calls.map(call => [call.call, call]));
  let untilMs = endMs;
  let namedMs = 0;
  for (const node of onPath) {
    for (const { phase, startMs, endMs: phaseEndMs } of phasesOf(node, byCall.get(node.call), background)) {
      const lengthMs = Math.min(phaseEndMs, untilMs) - Math.max(startMs, workflow.plannedMs);
      if (lengthMs <= 0 || (phase === 'run' && node.kind === 'llm')) continue;
      const part = phase === 'run' ? KIND_PART[node.kind] : PHASE_PART[phase];
      path[part] += lengthMs;
      namedMs += lengthMs;
      onPart?.(workflow, node, part, lengthMs);
    }
    untilMs = Math.min(untilMs, node.startMs);
  }
  // The rest of the makespan, so that the parts sum to it; a negative crumb is rounding.
  path.otherMs = Math.max(0, endMs - workflow.plannedMs - namedMs);
  return path;
}

/** Nodes and calls by session. */
export function bySession<T extends { session: string }>(records: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const record of records) {
    const group = groups.get(record.session);
    if (group === undefined) groups.set(record.session, [record]);
    else group.push(record);
  }
  return groups;
}

/** What of a run its critical paths are made of. */
export type PathInput = Pick<
  RunOutput,
  'workflows' | 'nodes' | 'calls' | 'governed' | 'replicas' | 'durationMs'
>;

/** The workflows with their critical paths filled in: the worlds hand them over as zeros. */
export function attachCriticalPaths(
  output: PathInput,
  background: Background = backgroundOf(output),
  onPart?: OnPart,
): WorkflowRecord[] {
  const nodes = bySession(output.nodes);
  const calls = bySession(output.calls);
  return output.workflows.map(workflow => {
    const own = [nodes.get(workflow.session) ?? [], calls.get(workflow.session) ?? []] as const;
    return { ...workflow, criticalPath: criticalPath(workflow, ...own, background, onPart) };
  });
}
