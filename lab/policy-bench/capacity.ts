// How much a deployment can do of a scenario, found by running it: more and more load until no more calls a second come
// out.
import { UserError } from '../../scenarios/base/errors.ts';
import type { GridCase } from '../grid/case.ts';
import type { CaseRunner } from '../grid/run-case.ts';

export interface Capacity {
  /** Calls a second at saturation. */
  callsPerSec: number;
  /** The load factor at which as many are offered. */
  loadFactor: number;
}

/** Twice the load that brings less than this much more is none that the deployment can do. */
const GROWTH = 1.15;
const DOUBLINGS = 24;

/**
 * Doubles the load from the scenario's own until throughput saturates, and takes the highest throughput met. Throughput
 * is `servedPerSec`, in the middle of a run, without its start and its tail.
 */
export async function findCapacity(given: GridCase, runner: CaseRunner): Promise<Capacity> {
  let offeredPerSec = 0;
  let most = 0;
  for (let doubling = 0; doubling <= DOUBLINGS; doubling++) {
    const outcome = await runner.run({ ...given, loadFactor: 2 ** doubling });
    if (!outcome.ok) throw new UserError(outcome.failure.message, outcome.failure);
    const { figures } = outcome;
    if (doubling === 0) offeredPerSec = figures.offeredPerSec;
    const isSaturated = figures.servedPerSec < GROWTH * most;
    most = Math.max(most, figures.servedPerSec);
    if (isSaturated) break;
  }
  if (!(most > 0 && offeredPerSec > 0))
    throw new UserError('no call of this scenario came back, so there is no capacity to find', {
      hint: '`windtunnel simulate` of the same files says why',
    });
  return { callsPerSec: most, loadFactor: most / offeredPerSec };
}
