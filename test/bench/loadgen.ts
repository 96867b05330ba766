// What the load generator costs, how wrong it is and what it keeps, against a server that keeps deadlines and logs its
// own truth in a process of its own. Each measurement is a fresh process: this file, with the case as JSON.
import { spawnSync } from 'node:child_process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { prepare } from '../../engines/prepare.ts';
import { createClient } from '../../loadgen/client.ts';
import { type Clock, startClock } from '../../loadgen/clock.ts';
import { type ServerProcess, startServer } from '../../loadgen/selftest/child.ts';
import type { Load } from '../../loadgen/selftest/drive.ts';
import { costed, createDriver } from '../../loadgen/selftest/drive.ts';
import { type OwnError, ownError } from '../../loadgen/selftest/error.ts';
import { SERVER_LATE_MS } from '../../loadgen/selftest/selftest.ts';
import { startReplay } from '../../loadgen/start.ts';
import { quantile } from '../../scenarios/base/statistics.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { deploymentOf, HEADER } from '../builders/worlds.ts';
import type { Figure } from './figure.ts';
import { RIVALS, type RivalCost, type RivalName, rivalCost } from './rivals.ts';

const CALLS = 1000;
const TOKENS = 100;
/** As the rivals' were measured (reference/loadgen.md 1.1), except that streams do not start all at once. */
const CLOSED: Load = { kind: 'closed', streams: 200, staggerMs: 2000, calls: CALLS, tokens: TOKENS };
const OPEN: Load = { kind: 'open', ratePerSec: 200, calls: 2 * CALLS, tokens: TOKENS, seed: 1 };
const WIDE: Load = { kind: 'closed', streams: 400, staggerMs: 2000, calls: 2 * CALLS, tokens: TOKENS };
/** So that the code that is measured has been compiled. */
const WARM: Load = { kind: 'closed', streams: 50, staggerMs: 500, calls: 200, tokens: 20 };

type Case =
  | { what: 'own'; load: Load; workers: number }
  | { what: 'rival'; name: RivalName }
  | { what: 'soak'; of: 'client' | 'replay'; calls: number };

/** In a process of its own. */
function measured<T>(of: Case): T {
  const child = spawnSync(process.execPath, [import.meta.filename, JSON.stringify(of)], { encoding: 'utf8' });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as T;
}

async function withServer<T>(work: (server: ServerProcess, clock: Clock) => Promise<T>): Promise<T> {
  const clock = startClock();
  const server = await startServer(clock.zero);
  try {
    return await work(server, clock);
  } finally {
    await server.close();
  }
}

// ---- CPU ------------------------------------------------------------------------------------------------------

/** CPU of our process per 1,000 chunks with every token timed, and how wrong it was. */
export function loadgenCpu(): Figure {
  const own = (load: Load, workers = 1): OwnError => measured({ what: 'own', load, workers });
  const closed = own(CLOSED);
  const open = own(OPEN);
  const rivals = Object.keys(RIVALS).map(name =>
    rivalText(name, measured<RivalCost | null>({ what: 'rival', name: name as RivalName })),
  );
  const parts = [
    `200 streams ${costText(closed)}`,
    `200 req/s ${costText(open)}, lag p99 ${open.lagMs.p99.toFixed(1)} ms`,
    `with two workers ${costText(own(OPEN, 2))}`,
    `400 streams ${costText(own(WIDE))}`,
    ...rivals,
  ];
  return {
    value: Math.max(closed.cpuMsPer1000Chunks, open.cpuMsPer1000Chunks),
    unit: 'ms/1k chunks',
    detail: parts.join('; '),
  };
}

const costText = (own: OwnError): string =>
  `${own.cpuMsPer1000Chunks.toFixed(1)} ms at ${own.chunksPerSec.toFixed(0)} chunks/s, ` +
  `TTFT error p99 ${own.ttftErrorMs.p99.toFixed(1)} ms, ITL error p99 ${own.itlErrorMs.p99.toFixed(1)} ms ` +
  `(server ${own.serverCpuMsPer1000Chunks.toFixed(1)} ms, late p99 ${own.serverLateMs.p99.toFixed(1)} ms` +
  `${own.serverLateMs.p99 > SERVER_LATE_MS ? ': THE MACHINE IS BUSY, errors say nothing' : ''}` +
  `${own.failures === 0 ? '' : `; ${own.failures} calls FAILED`})`;

function rivalText(name: string, cost: RivalCost | null): string {
  if (cost === null) return `${name}: not installed`;
  const { said, were } = cost;
  const figures =
    said === null
      ? 'no token times'
      : `TTFT p99 ${said.ttftMsP99.toFixed(0)} ms for ${were.ttftMsP99.toFixed(0)}, ITL p99 ${said.itlMsP99.toFixed(0)} for ${were.itlMsP99.toFixed(0)}`;
  return `${name} ${cost.cpuMsPer1000Chunks.toFixed(1)} ms at ${cost.chunksPerSec.toFixed(0)} chunks/s, ${figures}`;
}

/** 100 ms to the first token, 20 ms between tokens. */
const ownCost = (load: Load, workers: number): Promise<OwnError> =>
  withServer(async (server, clock) => {
    const driver = createDriver(workers, clock.zero, server.baseUrl);
    try {
      await driver.run(WARM);
      await driver.connect(load.kind === 'open' ? 2.5 * load.ratePerSec : load.streams);
      await server.reset();
      const driven = await costed(driver, load);
      return ownError(driven, await server.truth());
    } finally {
      await driver.close();
    }
  });

// ---- memory ---------------------------------------------------------------------------------------------------

/** Calls that are soaked; `WINDTUNNEL_SOAK=1000000` for the long one. */
const SOAK_CALLS = Number(process.env.WINDTUNNEL_SOAK ?? 100_000);
/** Before: V8 sizes its heap, and RSS with it, over the first 60,000. */
const SOAK_WARM_CALLS = 100_000;
const REPLAY_WARM_CALLS = 20_000;
const SOAK_STREAMS = 50;
/** At the memory, in a soak. */
const LOOKS = 25;
const QUICK = { ttftMs: 2, itlMs: 1 };

/** What our client keeps of 100,000 calls that are over; beside it, what a replay does, which keeps their records. */
export function loadgenSoak(): Figure {
  const client = measured<Soaked>({ what: 'soak', of: 'client', calls: SOAK_CALLS });
  const replay = measured<Soaked>({ what: 'soak', of: 'replay', calls: Math.min(SOAK_CALLS, 100_000) });
  return {
    value: client.grownMb,
    unit: 'MB/100k calls',
    detail:
      `the client over ${client.calls} calls of 1 to 3 tokens, ${client.callsPerSec.toFixed(0)} calls/s, RSS from ${client.fromMb.toFixed(0)} to ${client.toMb.toFixed(0)} MB; ` +
      `a whole replay, whose records stay in memory: ${(replay.grownMb * 10).toFixed(0)} bytes a call`,
  };
}

interface Soaked {
  calls: number;
  /** Of memory, per 100,000 calls. */
  grownMb: number;
  /** After the warm-up, and at the end. */
  fromMb: number;
  toMb: number;
  callsPerSec: number;
}

/** Looks at the memory every so many calls after the warm-up. */
function memoryWatch(warmCalls: number, calls: number, bytes: () => number) {
  const looks: Look[] = [];
  const startMs = performance.now();
  let ended = 0;
  return {
    callEnded(): void {
      ended++;
      if (ended >= warmCalls && ended % Math.ceil(calls / LOOKS) === 0)
        looks.push({ calls: ended, mb: bytes() / 1e6 });
    },
    soaked: (): Soaked => ({
      calls,
      grownMb: steadySlope(looks) * 100_000,
      fromMb: looks[0]!.mb,
      toMb: looks.at(-1)!.mb,
      callsPerSec: (1000 * ended) / (performance.now() - startMs),
    }),
  };
}

interface Look {
  calls: number;
  mb: number;
}

/** MB per call: the median over all pairs, since V8 also sizes its heap in a few large steps. */
const steadySlope = (looks: readonly Look[]): number =>
  quantile(
    looks.flatMap((from, row) => looks.slice(row + 1).map(to => (to.mb - from.mb) / (to.calls - from.calls))),
    0.5,
  );

/** Bytes of the heap that are in use. */
function heapBytes(): number {
  setFlagsFromString('--expose_gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

const soakClient = (calls: number): Promise<Soaked> =>
  withServer(async (server, clock) => {
    await server.reset(QUICK);
    const client = createClient({ clock });
    const watch = memoryWatch(SOAK_WARM_CALLS, calls, () => process.memoryUsage.rss());
    let sent = 0;
    const stream = async (): Promise<void> => {
      while (sent < SOAK_WARM_CALLS + calls) {
        const outputTokens = 1 + (sent++ % 3);
        const prompt = { api: 'chat' as const, messages: [{ role: 'user' as const, content: 'hello' }] };
        const wire = { model: 'selftest', prompt, outputTokens, reasoningTokens: 0, strict: false };
        const { error, message } = await client.stream({ baseUrl: server.baseUrl, wire }).result;
        if (error !== null) throw new Error(`${error}: ${message}`);
        watch.callEnded();
      }
    };
    try {
      await Promise.all(Array.from({ length: SOAK_STREAMS }, stream));
      return watch.soaked();
    } finally {
      await client.close();
    }
  });

const soakReplay = (calls: number): Promise<Soaked> =>
  withServer(async (server, clock) => {
    await server.reset(QUICK);
    const plan = planOf(
      workflowText('[ { llm: ask, adds: 20, out: 3 } ]', '', REPLAY_WARM_CALLS + calls).replace(
        'at_once: true',
        `closed: { agents: ${SOAK_STREAMS} }`,
      ),
    );
    const deployment = deploymentOf(`
windtunnel: 1
deployment: soak
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 512, max_num_seqs: 64 }
    step: { model: affine, base: 4ms, per_token: 20us }
    endpoints: [ { url: ${server.baseUrl}, model: selftest } ]
`);
    const watch = memoryWatch(REPLAY_WARM_CALLS, calls, heapBytes);
    const { calls: records } = await startReplay({
      plan,
      deployment,
      poolOf: prepare(plan, deployment).poolOf,
      header: HEADER,
      clock,
      environment: {},
      onCall: watch.callEnded,
    }).run();
    const failed = records.find(({ outcome }) => outcome !== 'ok');
    if (failed !== undefined) throw new Error(`a call failed: ${failed.error}`);
    return watch.soaked();
  });

function measure(of: Case): Promise<OwnError | RivalCost | Soaked | null> {
  if (of.what === 'own') return ownCost(of.load, of.workers);
  if (of.what === 'rival') return rivalCost(of.name);
  return of.of === 'client' ? soakClient(of.calls) : soakReplay(of.calls);
}

if (process.argv[1] === import.meta.filename) {
  process.stdout.write(JSON.stringify(await measure(JSON.parse(process.argv[2]!) as Case)));
}
