// What this machine can drive, and how wrong we are while it does: the limit is searched, then the error is measured at
// 25, 50 and 75 % of it, against a server on the same machine that keeps deadlines and logs its own truth.
import { startClock } from '../clock.ts';
import { startServer } from './child.ts';
import { costed, createDriver } from './drive.ts';
import { type OwnError, ownError } from './error.ts';

export const SELFTEST_ITL_MS = 20;
export const SELFTEST_TTFT_MS = 100;
export const SELFTEST_TOKENS = 50;
/** How long a call lasts. */
export const CALL_MS = SELFTEST_TTFT_MS + (SELFTEST_TOKENS - 1) * SELFTEST_ITL_MS;

/** Beyond these our own figures are not to be trusted (docs/live/selftest.md). */
export const LIMITS = { ttftErrorMs: 5, itlErrorMs: 5, lagMs: 10 } as const;
/** A server that sends later than this has not got the CPU it needs: because it uses up a core, or others do. */
export const SERVER_LATE_MS = 25;
const SATURATED_CORES = 0.7;
/** Achieved to planned rate. */
const RATE_RATIO = 0.95;

/** Of the limit: what is measured. */
export const SHARES = [0.25, 0.5, 0.75] as const;
const FIRST_STREAMS = 100;
const FEWEST_STREAMS = 5;
/** The limit is known well enough when the next level that fails is so near. */
const NEAR_RATIO = 1.25;
/** Of the time, for the search; the three measured runs share the rest. */
const SEARCH_RATIO = 0.5;
const STEP_MS = 2500;

/** One load, and what was wrong with it. */
export interface Level {
  /** In flight at a time, on average. */
  streams: number;
  own: OwnError;
  /** In words; empty: our figures can be trusted there. */
  problems: string[];
  /** `saturated`: it could not send faster; `starved`: something else used its machine. */
  server: 'fine' | 'saturated' | 'starved';
}

/** What kept more streams from being sustained: `time` is over before a level failed. */
export type LimitedBy = 'client' | 'server' | 'machine' | 'time';

export interface SelfTest {
  /** Streams at 20 ms between tokens that the client sustained, or the fewest that are tried. */
  limitStreams: number;
  /** All but `client`: the limit is a lower bound. */
  limitedBy: LimitedBy;
  searched: Level[];
  /** At 25, 50 and 75 % of the limit. */
  measured: Level[];
  /** The largest of them with nothing wrong up to it; null: none. */
  trusted: Level | null;
  /** Something else used this machine when the limit was found, or when a measured level went wrong. */
  isInconclusive: boolean;
}

export interface SelfTestOptions {
  seconds: number;
  workers: number;
  onLevel?: (level: Level, phase: 'search' | 'measure') => void;
}

export async function selfTest({ seconds, workers, onLevel }: SelfTestOptions): Promise<SelfTest> {
  const clock = startClock();
  const server = await startServer(clock.zero, { ttftMs: SELFTEST_TTFT_MS, itlMs: SELFTEST_ITL_MS });
  const driver = createDriver(workers, clock.zero, server.baseUrl);
  let seed = 0;

  async function level(streams: number, durationMs: number): Promise<Level> {
    const ratePerSec = (streams * 1000) / CALL_MS;
    const calls = Math.max(20, Math.round((ratePerSec * durationMs) / 1000));
    await driver.connect(Math.ceil(1.3 * streams) + 10);
    await server.reset();
    const driven = await costed(driver, {
      kind: 'open',
      ratePerSec,
      calls,
      tokens: SELFTEST_TOKENS,
      seed: ++seed,
    });
    const own = ownError(driven, await server.truth());
    return {
      streams,
      own,
      problems: problemsOf(own, ratePerSec),
      server: serverState(own),
    };
  }

  try {
    // What is measured has been compiled.
    await level(20, 1000);
    const searchEndMs = clock.nowMs() + 1000 * seconds * SEARCH_RATIO;
    const searched: Level[] = [];
    const search = await searchLimit(
      async streams => {
        const found = await level(streams, STEP_MS);
        searched.push(found);
        onLevel?.(found, 'search');
        return found;
      },
      () => clock.nowMs() + STEP_MS + CALL_MS < searchEndMs,
    );
    const measured: Level[] = [];
    const runMs = Math.max(2000, (1000 * seconds * (1 - SEARCH_RATIO)) / SHARES.length - CALL_MS);
    for (const share of SHARES) {
      const found = await level(Math.max(1, Math.round(search.streams * share)), runMs);
      measured.push(found);
      onLevel?.(found, 'measure');
    }
    const firstBad = measured.findIndex(({ problems }) => problems.length > 0);
    return {
      limitStreams: search.streams,
      limitedBy: search.limitedBy,
      searched,
      measured,
      trusted: measured[(firstBad < 0 ? measured.length : firstBad) - 1] ?? null,
      isInconclusive:
        search.limitedBy === 'machine' ||
        measured.some(({ problems, server: state }) => problems.length > 0 && state === 'starved'),
    };
  } finally {
    await driver.close();
    await server.close();
  }
}

/**
 * The most streams without a problem: doubled until one fails, then halved between. A level that fails is tried once
 * more, since machines hiccup.
 */
export async function searchLimit(
  level: (streams: number) => Promise<Pick<Level, 'problems' | 'server'>>,
  hasTime: () => boolean,
): Promise<{ streams: number; limitedBy: LimitedBy }> {
  let good = 0;
  let bad = Infinity;
  let limitedBy: LimitedBy = 'time';
  for (let streams = FIRST_STREAMS; streams >= FEWEST_STREAMS && hasTime(); streams = between(good, bad)) {
    let found = await level(streams);
    if (found.problems.length > 0 && hasTime()) found = await level(streams);
    if (found.problems.length === 0) good = streams;
    else {
      bad = streams;
      limitedBy = LIMITED_BY[found.server];
    }
    if (good > 0 && bad / good <= NEAR_RATIO) break;
  }
  return { streams: good > 0 ? good : FEWEST_STREAMS, limitedBy };
}

const LIMITED_BY = { fine: 'client', saturated: 'server', starved: 'machine' } as const;

function serverState({ serverLateMs, serverCores }: OwnError): Level['server'] {
  if (serverLateMs.p99 <= SERVER_LATE_MS) return 'fine';
  return serverCores >= SATURATED_CORES ? 'saturated' : 'starved';
}

function between(good: number, bad: number): number {
  if (bad === Infinity) return 2 * good;
  return Math.round(good === 0 ? bad / 2 : Math.sqrt(good * bad));
}

function problemsOf(own: OwnError, ratePerSec: number): string[] {
  const problems: string[] = [];
  const above = (what: string, value: number, limit: number): void => {
    if (!(value <= limit)) problems.push(`${what} p99 ${value.toFixed(1)} ms, above ${limit} ms`);
  };
  if (own.failures > 0) problems.push(`${own.failures} of ${own.calls} calls failed`);
  above('TTFT error', own.ttftErrorMs.p99, LIMITS.ttftErrorMs);
  above('ITL error', own.itlErrorMs.p99, LIMITS.itlErrorMs);
  above('schedule lag', own.lagMs.p99, LIMITS.lagMs);
  const ratio = own.callsPerSec / ratePerSec;
  // Few Poisson arrivals have a rate of their own.
  if (ratio < RATE_RATIO - 3 / Math.sqrt(own.calls)) {
    problems.push(`${own.callsPerSec.toFixed(1)} calls/s where ${ratePerSec.toFixed(1)} were planned`);
  }
  return problems;
}
