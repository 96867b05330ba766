// Lengths of a trace: tokens of calls and sessions, what an infinite cache finds of them, and times as recorded.
import type { Cdf, CdfName, Spread, TraceProfile } from '../../formats/trace-profile.ts';
import { RESUMED_TOKENS } from '../../importers/importer.ts';
import { MAIN, type ProfilePart, type SessionView } from './session-view.ts';
import { SpreadSketch } from './spread.ts';

type Sums = Pick<
  TraceProfile,
  'sessions' | 'calls' | 'promptTokens' | 'outputTokens' | 'reasoningTokens' | 'failedCalls'
>;
type Lengths = Sums &
  Pick<TraceProfile, 'call' | 'session' | 'recordedCachedRatio'> & {
    cdfs: Record<Extract<CdfName, 'promptTokens' | 'outputTokens' | 'uncachedTokens' | 'callHitRatio'>, Cdf>;
  };

const whole = () => new SpreadSketch({ whole: true });

export function lengthPart(): ProfilePart<Lengths> {
  const sums: Sums = {
    sessions: 0,
    calls: 0,
    promptTokens: 0,
    outputTokens: 0,
    reasoningTokens: 0,
    failedCalls: 0,
  };
  const call = {
    promptTokens: whole(),
    outputTokens: whole(),
    uncachedTokens: whole(),
    // Misses: a histogram is finest near 0, and good hit ratios are near 1.
    missRatio: new SpreadSketch(),
    ttftMs: new SpreadSketch(),
    e2eMs: new SpreadSketch(),
  };
  const session = {
    calls: whole(),
    humanTurns: whole(),
    callsPerHumanTurn: whole(),
    toolTurns: whole(),
    promptTokens: whole(),
    outputTokens: whole(),
    uncachedTokens: whole(),
    firstPromptTokens: whole(),
    lastPromptTokens: whole(),
    systemTokens: whole(),
    spanMs: new SpreadSketch(),
    contextGrowth: new SpreadSketch(),
  };
  const reported = { promptTokens: 0, cachedTokens: 0 };
  let resumed = 0;
  let turnsKnown = false;

  return {
    add(view) {
      addCalls(view);
      addSession(view);
    },
    result: () => ({
      ...sums,
      call: {
        promptTokens: call.promptTokens.spread()!,
        outputTokens: call.outputTokens.spread()!,
        uncachedTokens: call.uncachedTokens.spread(),
        hitRatio: complement(call.missRatio),
        ttftMs: call.ttftMs.spread(),
        e2eMs: call.e2eMs.spread(),
      },
      session: {
        calls: session.calls.spread()!,
        humanTurns: turnsKnown ? session.humanTurns.spread() : null,
        callsPerHumanTurn: session.callsPerHumanTurn.spread(),
        toolTurns: turnsKnown ? session.toolTurns.spread() : null,
        promptTokens: session.promptTokens.spread()!,
        outputTokens: session.outputTokens.spread()!,
        uncachedTokens: session.uncachedTokens.spread(),
        firstPromptTokens: session.firstPromptTokens.spread()!,
        lastPromptTokens: session.lastPromptTokens.spread()!,
        systemTokens: session.systemTokens.spread(),
        spanMs: session.spanMs.spread(),
        contextGrowth: session.contextGrowth.spread(),
        resumedRatio: sums.sessions === 0 ? 0 : resumed / sums.sessions,
      },
      recordedCachedRatio: reported.promptTokens === 0 ? null : reported.cachedTokens / reported.promptTokens,
      cdfs: {
        promptTokens: call.promptTokens.cdf(),
        outputTokens: call.outputTokens.cdf(),
        uncachedTokens: call.uncachedTokens.cdf(),
        callHitRatio: hitCdf(call.missRatio),
      },
    }),
  };

  function addCalls({ session: { calls }, found }: SessionView): void {
    for (const [row, { promptTokens, outputTokens, reasoningTokens, recorded }] of calls.entries()) {
      const uncachedTokens = promptTokens - found[row]!.anyTokens;
      sums.promptTokens += promptTokens;
      sums.outputTokens += outputTokens;
      sums.reasoningTokens += reasoningTokens;
      if (recorded.error !== null) sums.failedCalls += 1;
      call.promptTokens.record(promptTokens);
      call.outputTokens.record(outputTokens);
      call.uncachedTokens.record(uncachedTokens);
      call.missRatio.record(uncachedTokens / promptTokens);
      if (recorded.ttftMs !== null) call.ttftMs.record(recorded.ttftMs);
      if (recorded.e2eMs !== null) call.e2eMs.record(recorded.e2eMs);
      if (recorded.cachedTokens === null) continue;
      reported.promptTokens += promptTokens;
      reported.cachedTokens += recorded.cachedTokens;
    }
    sums.sessions += 1;
    sums.calls += calls.length;
  }

  function addSession({ session: recorded, threads, found, starts, ends }: SessionView): void {
    const { calls } = recorded;
    const first = calls[0]!;
    const main = threads.get(MAIN) ?? [first];
    const last = main.at(-1)!;
    session.calls.record(calls.length);
    session.promptTokens.record(calls.reduce((sum, { promptTokens }) => sum + promptTokens, 0));
    session.outputTokens.record(calls.reduce((sum, { outputTokens }) => sum + outputTokens, 0));
    session.uncachedTokens.record(
      calls.reduce((sum, { promptTokens }, row) => sum + promptTokens - found[row]!.anyTokens, 0),
    );
    session.firstPromptTokens.record(first.promptTokens);
    session.lastPromptTokens.record(last.promptTokens);
    if (recorded.systemTokens > 0) session.systemTokens.record(recorded.systemTokens);
    if (main.length > 1) session.contextGrowth.record(last.promptTokens / main[0]!.promptTokens);
    if (calls.length > 1) {
      let endMs = 0;
      for (const each of ends) endMs = Math.max(endMs, each);
      session.spanMs.record(endMs - starts[0]!);
    }
    if (first.promptTokens >= RESUMED_TOKENS) resumed += 1;
    addTurns(calls);
  }

  function addTurns(calls: SessionView['session']['calls']): void {
    let humanTurns = 0;
    let toolTurns = 0;
    // Calls since a person wrote; null before the first time.
    let since: number | null = null;
    for (const { gapKind } of calls) {
      if (gapKind === 'tool') toolTurns += 1;
      if (gapKind === 'human') {
        if (since !== null) session.callsPerHumanTurn.record(since);
        humanTurns += 1;
        since = 0;
      }
      if (since !== null) since += 1;
    }
    if (since !== null) session.callsPerHumanTurn.record(since);
    session.humanTurns.record(humanTurns);
    session.toolTurns.record(toolTurns);
    if (humanTurns + toolTurns > 0) turnsKnown = true;
  }
}

/** The spread of 1 - x. */
function complement(misses: SpreadSketch): Spread | null {
  const spread = misses.spread();
  if (spread === null) return null;
  const at = misses.quantiles();
  const hit = (share: number): number => 1 - at(1 - share);
  return {
    n: spread.n,
    mean: 1 - spread.mean,
    min: 1 - spread.max,
    p5: hit(0.05),
    p25: hit(0.25),
    p50: hit(0.5),
    p75: hit(0.75),
    p90: hit(0.9),
    p99: hit(0.99),
    max: 1 - spread.min,
  };
}

/** The cumulative distribution of 1 - x. */
function hitCdf(misses: SpreadSketch): Cdf {
  const points = misses.cdf();
  // What lies at or under a hit ratio is what lies above the miss before it.
  return points
    .map(([miss], row): [number, number] => [1 - miss, 1 - (points[row - 1]?.[1] ?? 0)])
    .toReversed();
}
