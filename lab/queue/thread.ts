// A thread of a worker: cases come in, outcomes go out, one message each, so that it never waits for the next. Before the
// first case of a scenario it compiles that scenario and compares the plan with the coordinator's.
import { parentPort } from 'node:worker_threads';
import { loadScenario } from '../../scenarios/cli/load.ts';
import type { GridCase, Outcome } from '../grid/case.ts';
import { CaseRunner } from '../grid/run-case.ts';
import type { CaseJob } from './message.ts';
import { planDigest } from './plan-digest.ts';

export type Ask =
  | { readonly kind: 'ready' }
  /** Each is answered as it ends. */
  | { readonly kind: 'run'; readonly cases: readonly GridCase[] }
  | { readonly kind: 'check'; readonly check: NonNullable<CaseJob['check']> };

export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'ran'; readonly ms: number; readonly outcome: Outcome }
  /** Null: the plans are the same. */
  | { readonly kind: 'checked'; readonly problem: string | null };

const runner = new CaseRunner();
const checked = new Set<string>();

const say = (answer: Answer): void => parentPort?.postMessage(answer);

async function answer(ask: Ask): Promise<void> {
  if (ask.kind === 'ready') say({ kind: 'ready' });
  else if (ask.kind === 'check') say({ kind: 'checked', problem: problemOf(ask.check) });
  else {
    for (const of of ask.cases) {
      const startMs = performance.now();
      const outcome = await runner.run(of);
      say({ kind: 'ran', ms: performance.now() - startMs, outcome });
    }
  }
}

function problemOf({ scenario, planSha256 }: NonNullable<CaseJob['check']>): string | null {
  const key = JSON.stringify([scenario, planSha256]);
  if (checked.has(key)) return null;
  const found = planDigest(loadScenario(scenario.input, scenario.options)) ?? 'none';
  if (found !== planSha256)
    return `the same scenario compiles to the plan ${found.slice(0, 12)} here and to ${planSha256.slice(0, 12)} there (Node ${process.version})`;
  checked.add(key);
  return null;
}

parentPort?.on('message', (ask: Ask) => answer(ask));
