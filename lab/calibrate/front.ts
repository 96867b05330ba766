// How requests queue in front of the engine: those that come at once are taken one after the other, so that the first is
// computed alone while the others are still on their way. Found by the simulator itself: bursts are played with each share
// of the way being serial, and the share that gives their first tokens is kept.
import { resolveDeployment } from '../../engines/deploy.ts';
import type { DeploymentSpec } from '../../engines/engine.ts';
import { InvariantError } from '../../scenarios/base/errors.ts';
import { extend, textKey } from '../../scenarios/base/key.ts';
import { mean, quantile } from '../../scenarios/base/statistics.ts';
import { parseDeployment } from '../../scenarios/formats/deployment/deployment.ts';
import { parseSource } from '../../scenarios/formats/source.ts';
import { createCluster } from '../../sim/create-cluster.ts';
import type { Burst } from './run.ts';

/** A deployment file of one pool, as a cluster has it. */
export function specOf(yaml: string): DeploymentSpec {
  const source = parseSource(yaml, 'calibrated');
  const parsed = parseDeployment(source);
  const resolved =
    parsed.file === null
      ? null
      : resolveDeployment(parsed.file, 'calibrated', { routingPolicies: ['round-robin'] });
  if (resolved?.deployment == null) {
    const said = [...parsed.issues, ...(resolved?.issues ?? [])].map(({ message }) => message);
    throw new InvariantError(`the calibrated deployment is none: ${said.join('; ')}`);
  }
  return resolved.deployment;
}

/** Mean time to the first tokens of prompts that are sent at once, ms. */
export function burstTtftMs(
  deployment: DeploymentSpec,
  { prompts, promptTokens }: Pick<Burst, 'prompts' | 'promptTokens'>,
  serialMs: number,
): number {
  const [pool] = deployment.pools;
  const { ms, msPerToken } = pool!.frontEnd;
  const cluster = createCluster(deployment, {});
  const root = textKey('calibrate/burst');
  for (let id = 0; id < prompts; id++) {
    const atMs = ms + msPerToken * promptTokens + id * serialMs;
    cluster.submit(Math.round(atMs * 1e6), {
      id,
      pool: pool!.name,
      session: String(id),
      prompt: [{ key: extend(root, id), from: 0, tokens: promptTokens }],
      promptTokens,
      outputTokens: 1,
      output: [{ key: extend(root, id, 1), from: 0, tokens: 1 }],
      warmTokens: 0,
      priority: 0,
    });
  }
  const firstMs: number[] = [];
  for (let ns = cluster.nextNs(); ns < Number.POSITIVE_INFINITY; ns = cluster.nextNs()) {
    cluster.advanceTo(ns);
    for (const event of cluster.drain()) if (event.kind === 'token') firstMs.push(event.atNs / 1e6);
  }
  return mean(firstMs);
}

const SHARES = 20;

export interface SerialFront {
  /** The part of the way in which requests wait for each other. */
  serialMs: number;
  /** Mean absolute error of the first tokens of bursts; null where none were measured. */
  errorRatio: number | null;
}

export function serialFrontOf(deployment: DeploymentSpec, bursts: readonly Burst[]): SerialFront {
  const wayMs = deployment.pools[0]!.frontEnd.ms;
  if (bursts.length === 0) return { serialMs: 0, errorRatio: null };
  const settings = [...Map.groupBy(bursts, ({ name }) => name).values()];
  const measured = settings.map(repeats => ({
    burst: repeats[0]!,
    ttftMs: quantile(
      repeats.map(({ ttftMs }) => ttftMs),
      0.5,
    ),
  }));
  const errorAt = (serialMs: number): number =>
    mean(
      measured.map(({ burst, ttftMs }) => Math.abs(burstTtftMs(deployment, burst, serialMs) / ttftMs - 1)),
    );
  const tried = Array.from({ length: SHARES + 1 }, (_, i) => {
    const serialMs = (wayMs * i) / SHARES;
    return { serialMs, errorRatio: errorAt(serialMs) };
  });
  return tried.reduce((best, each) => (each.errorRatio < best.errorRatio ? each : best));
}
