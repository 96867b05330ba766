// Plays the phases of a workload on a cluster and notes when each request was sent, gave its first token and ended. The
// one client of a backtest: no workflow, no gateway. Rule: times are the client's, the front end's share included.
import { extend, textKey } from '../../scenarios/base/key.ts';
import type { Cluster } from '../../sim/cluster.ts';
import { Refused } from './experiment.ts';
import type { Phase, WorkloadRequest } from './workload.ts';

/** What a request meets outside the engine, ms. */
export interface FrontEnd {
  /** From the client's send to the engine's queue: so much, and so much more for each prompt token. */
  beforeMs: number;
  beforeMsPerToken: number;
  /** From a token to the client. */
  afterMs: number;
}

/** Times on the client, ms, a row per request in order of the phases. */
export interface Timings {
  requests: readonly WorkloadRequest[];
  sentMs: Float64Array;
  firstTokenMs: Float64Array;
  endMs: Float64Array;
}

const toNs = (ms: number): number => Math.round(ms * 1e6);

export function drive(cluster: Cluster, pool: string, phases: readonly Phase[], frontEnd: FrontEnd): Timings {
  const requests = phases.flatMap(phase => phase.requests);
  const timings: Timings = {
    requests,
    sentMs: new Float64Array(requests.length),
    firstTokenMs: new Float64Array(requests.length),
    endMs: new Float64Array(requests.length),
  };
  const outputs = textKey('backtest/output');
  const send = (row: number, sentMs: number): void => {
    const { prompt, promptTokens, outputTokens, warmTokens } = requests[row]!;
    timings.sentMs[row] = sentMs;
    const beforeMs = frontEnd.beforeMs + frontEnd.beforeMsPerToken * promptTokens;
    cluster.submit(toNs(sentMs + beforeMs), {
      id: row,
      pool,
      session: String(row),
      prompt,
      promptTokens,
      outputTokens,
      output: [{ key: extend(outputs, row), from: 0, tokens: outputTokens }],
      warmTokens,
      priority: 0,
    });
  };
  let from = 0;
  let startMs = 0;
  for (const phase of phases) {
    const to = from + phase.requests.length;
    startMs += phase.pauseMs;
    const endMs = playPhase({ cluster, phase, from, to, startMs, afterMs: frontEnd.afterMs, send, timings });
    from = to;
    startMs = endMs;
  }
  return timings;
}

interface Play {
  cluster: Cluster;
  phase: Phase;
  /** Rows of the phase. */
  from: number;
  to: number;
  startMs: number;
  afterMs: number;
  send(row: number, sentMs: number): void;
  timings: Timings;
}

/** Returns when the last of the phase's requests ended. */
function playPhase({ cluster, phase, from, to, startMs, afterMs, send, timings }: Play): number {
  const { concurrency } = phase;
  let next = from;
  let ended = from;
  let lastMs = startMs;
  const dueMs = (): number =>
    next < to && concurrency === null
      ? startMs + timings.requests[next]!.arrivalMs
      : Number.POSITIVE_INFINITY;
  if (concurrency !== null) while (next < Math.min(to, from + concurrency)) send(next++, startMs);
  while (ended < to) {
    // Inputs first: what arrives before the cluster moves next must be there by then.
    const nextNs = cluster.nextNs();
    if (toNs(dueMs()) <= nextNs) {
      send(next, dueMs());
      next++;
      continue;
    }
    cluster.advanceTo(nextNs);
    for (const event of cluster.drain()) {
      const clientMs = event.atNs / 1e6 + afterMs;
      switch (event.kind) {
        case 'token':
          timings.firstTokenMs[event.id] = clientMs;
          break;
        case 'end':
          timings.endMs[event.id] = clientMs;
          lastMs = Math.max(lastMs, clientMs);
          ended++;
          if (concurrency !== null && next < to) send(next++, clientMs);
          break;
        case 'rejected':
          throw new Refused(`request ${event.id - from}: ${event.message}`);
        default:
      }
    }
  }
  return lastMs;
}
