// Cuts one recorded session to a window of time. What stays starts at its recorded instants; what the calls before the
// window left in the cache is kept as primed context, so that the cut does not turn a warm session into a cold one.
import type { RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import { endsMs } from '../instants.ts';
import { commonLead } from '../reuse.ts';

export interface Cut {
  /** Null where no call starts in the window. */
  session: RecordedSession | null;
  callsDropped: number;
  primedTokens: number;
}

/**
 * The calls that start in [fromMs, toMs), both counted from the session's start. A session that loses its beginning
 * arrives with its first call that stays; parents that were dropped are waited for no more.
 */
export function cutSession(session: RecordedSession, fromMs: number, toMs: number): Cut {
  const { calls } = session;
  const isKept = ({ recorded: { startMs } }: RecordedCall): boolean => startMs >= fromMs && startMs < toMs;
  const kept = calls.filter(isKept);
  const callsDropped = calls.length - kept.length;
  if (callsDropped === 0) return { session, callsDropped, primedTokens: 0 };
  if (kept.length === 0) return { session: null, callsDropped, primedTokens: 0 };

  const earlier = calls.filter(({ recorded }) => recorded.startMs < fromMs);
  // A call may stand behind one that started later, if it waits for that.
  const firstMs = kept.reduce(
    (least, { recorded }) => Math.min(least, recorded.startMs),
    Number.POSITIVE_INFINITY,
  );
  const zeroMs = earlier.length === 0 ? 0 : firstMs;
  const ends = endsMs(session);
  const endOf = new Map(calls.map((call, row) => [call.id, ends[row]!]));
  const keptIds = new Set(kept.map(({ id }) => id));
  const begun = new Set<string>();
  let primedTokens = 0;

  const shifted = kept.map((call): RecordedCall => {
    const primed = begun.has(call.agent) ? 0 : primedBy(earlier, call, session.blockTokens);
    begun.add(call.agent);
    primedTokens += primed;
    return {
      ...call,
      ...relinked(call, { keptIds, endOf, zeroMs }),
      recorded: { ...call.recorded, startMs: call.recorded.startMs - zeroMs },
      primedTokens: Math.max(call.primedTokens, primed),
    };
  });
  const arrivalMs = session.arrivalMs === null ? null : session.arrivalMs + zeroMs;
  return { session: { ...session, arrivalMs, calls: shifted }, callsDropped, primedTokens };
}

/** The parents that stay, and the gap after the last of them that starts the call at its recorded instant. */
function relinked(
  call: RecordedCall,
  cut: { keptIds: ReadonlySet<string>; endOf: ReadonlyMap<string, number>; zeroMs: number },
): Pick<RecordedCall, 'parents' | 'gapMs' | 'gapKind' | 'tool'> {
  const { gapMs, gapKind, tool } = call;
  const { startMs } = call.recorded;
  const parents = call.parents.filter(parent => cut.keptIds.has(parent));
  if (parents.length === call.parents.length && (parents.length > 0 || cut.zeroMs === 0))
    return { parents, gapMs, gapKind, tool };
  if (parents.length === 0) {
    // What filled this time lies before the window.
    return { parents, gapMs: startMs - cut.zeroMs, gapKind: 'unknown', tool: null };
  }
  const sinceMs = parents.reduce((latest, parent) => Math.max(latest, cut.endOf.get(parent)!), 0);
  return { parents, gapMs: Math.max(gapMs, startMs - sinceMs), gapKind, tool };
}

/** Leading prompt tokens, in whole blocks, that the earlier calls of the session left in a cache that never evicts. */
function primedBy(earlier: readonly RecordedCall[], call: RecordedCall, blockTokens: number): number {
  let primed = 0;
  for (const before of earlier) {
    const shared = commonLead(before.blocks, call.blocks);
    let tokens = Math.min(shared * blockTokens, before.promptTokens);
    // A prompt that goes on from the whole of an earlier one also holds its unnamed tail and its answer.
    const extendsIt =
      before.agent === call.agent &&
      shared > 0 &&
      shared === before.blocks.length &&
      shared * blockTokens <= before.promptTokens &&
      before.promptTokens + before.outputTokens <= call.promptTokens;
    if (extendsIt) tokens = before.promptTokens + before.outputTokens;
    primed = Math.max(primed, tokens);
  }
  return Math.floor(Math.min(primed, call.promptTokens) / blockTokens) * blockTokens;
}
