// Emulators in this process, and scenarios replayed on them over real sockets.
import { expect } from 'vitest';
import { readServer } from '../../engines/metrics/read.ts';
import { prepare } from '../../engines/prepare.ts';
import type { JournalListener } from '../../gateway/journal.ts';
import { startClock } from '../../loadgen/clock.ts';
import type { CacheBust } from '../../loadgen/prompts.ts';
import type { Replay } from '../../loadgen/replay.ts';
import { startReplay } from '../../loadgen/start.ts';
import type { GovernedRecords } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { emulateDeployment } from '../../sim/emulator/emulate.ts';
import { parseInjection } from '../../sim/emulator/inject.ts';
import { planOf } from '../builders/scenarios.ts';
import { deploymentOf, HEADER } from '../builders/worlds.ts';

const POOL = (name: string, urls: readonly string[]): string => `
  ${name}:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 512, max_num_seqs: 64 }
    step: { model: affine, base: 4ms, per_token: 20us }
    endpoints: [ ${urls.map(url => `{ url: ${url}, model: ${name} }`).join(', ')} ]`;

/** Pools by their addresses; `gateway`: flow YAML. */
export const liveDeployment = (pools: Record<string, readonly string[]>, gateway = '', more = ''): string => `
windtunnel: 1
deployment: live
pools:${Object.entries(pools)
  .map(([name, urls]) => POOL(name, urls))
  .join('')}
${gateway === '' ? '' : `gateway: ${gateway}`}
${more}`;

export interface LiveEmulator {
  /** Up to /v1. */
  readonly url: string;
  /** Requests that its engines run or hold now. */
  running(): Promise<number>;
  close(): Promise<void>;
}

/** Serves `main` and `spare`, at a step of 4 ms. */
export async function emulator(inject = ''): Promise<LiveEmulator> {
  const deployment = deploymentOf(liveDeployment({ main: [], spare: [] }));
  const injection = inject === '' ? null : parseInjection(inject, 1);
  const { url, close } = await emulateDeployment(deployment, { port: 0, injection });
  const running = async (): Promise<number> => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const { runningRequests, waitingRequests } = readServer(text)!.gauges;
    return runningRequests! + waitingRequests!;
  };
  return { url: `${url}/v1`, running, close };
}

export type Governed = RunOutput & { governed: GovernedRecords };

/** Runs to the end, or what `during` does of it; a run without a gateway fails the test. */
export async function replayed(
  scenario: string,
  deploymentText: string,
  {
    listener = {},
    during,
    vocabTokens,
    cacheBust = 'run',
    workers = 1,
  }: {
    listener?: JournalListener;
    during?: (replay: Replay) => unknown;
    vocabTokens?: number;
    cacheBust?: CacheBust;
    workers?: number;
  } = {},
): Promise<Governed> {
  const plan = planOf(scenario);
  const deployment = deploymentOf(deploymentText);
  const { poolOf, issues } = prepare(plan, deployment);
  expect(issues).toEqual([]);
  const replay = startReplay({
    plan,
    deployment,
    poolOf,
    header: HEADER,
    clock: startClock(),
    environment: {},
    listener,
    ...(vocabTokens === undefined ? {} : { vocabTokens }),
    cacheBust,
    workers,
  });
  const running = replay.run();
  await during?.(replay);
  const output = await running;
  if (output.governed === undefined) throw new Error('nothing governs this run');
  return output as Governed;
}

/** Nothing of a run is left on a server a second after it. */
export async function isIdle(...servers: readonly LiveEmulator[]): Promise<void> {
  for (const server of servers) await expect.poll(() => server.running(), { timeout: 1000 }).toBe(0);
}
