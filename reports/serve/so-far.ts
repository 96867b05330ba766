// A run that goes on, as if it had ended now: what the served page shows. Pure.
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { RunHeader, RunOutput, RunSoFar } from '../../scenarios/formats/run.ts';
import { plural } from '../numbers.ts';
import { type RunLogRead, rebuilt } from '../rebuild.ts';

const NO_GAPS = { count: 0, sum: 0, min: 0, max: 0, buckets: [] };

const goingOn = (header: RunHeader, calls: number): RunHeader => ({
  ...header,
  warnings: [
    `the run goes on: ${plural(calls, 'call')} had ended; costs, token gaps and what a gateway counts come at its end`,
    ...header.warnings,
  ],
});

/** From the log that a live run writes on its way. */
export function ofLog(log: RunLogRead): RunOutput {
  const output = rebuilt({ ...log, end: null });
  // Sessions under way are no failures.
  const workflows = output.workflows.filter(({ status }) => status !== 'unfinished');
  return {
    ...output,
    workflows,
    header: goingOn(log.start.header, output.calls.length),
    interrupted: false,
  };
}

/** From a simulation between two instants. */
export function ofSimulation(
  header: RunHeader,
  assertions: readonly Assertion[],
  { nowMs, calls, nodes, workflows, timeline }: RunSoFar,
): RunOutput {
  return {
    header: goingOn(header, calls.length),
    calls: [...calls],
    nodes: [...nodes],
    workflows: [...workflows],
    timeline: [...timeline],
    itlMs: NO_GAPS,
    assertions: [...assertions],
    durationMs: nowMs,
    interrupted: false,
    valid: true,
    invalidReason: null,
  };
}
