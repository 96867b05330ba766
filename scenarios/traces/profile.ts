// The profile of a trace: one pass over its sessions, in memory that does not grow with it, but for one bit per block id
// that sessions share. What is counted, and how, stands in formats/trace-profile.ts.
//
//   session ─▶ view (threads, ends, hits) ─▶ lengths, turns, gaps, fan-out, arrivals, names ─▶ profile
import type { RecordedSession } from '../formats/recorded.ts';
import type { TraceProfile } from '../formats/trace-profile.ts';
import { fanOutPart } from './profile/fan-out.ts';
import { gapPart } from './profile/gaps.ts';
import { lengthPart } from './profile/lengths.ts';
import { loadPart } from './profile/load.ts';
import { namePart } from './profile/names.ts';
import { viewOf } from './profile/session-view.ts';
import { turnPart } from './profile/turns.ts';
import { ReuseCounter } from './reuse.ts';

export interface TraceProfiler {
  add(session: RecordedSession): void;
  /** Of the sessions so far: at least one. */
  profile(): TraceProfile;
}

export function traceProfiler(): TraceProfiler {
  const reuse = new ReuseCounter();
  const lengths = lengthPart();
  const turns = turnPart();
  const gaps = gapPart();
  const fanOut = fanOutPart();
  const load = loadPart();
  const names = namePart();
  const parts = [lengths, turns, gaps, fanOut, load, names];

  return {
    add(session) {
      const view = viewOf(session, reuse.add(session));
      for (const part of parts) part.add(view);
    },
    profile() {
      const { cdfs: lengthCdfs, ...counted } = lengths.result();
      const { cdfs: gapCdfs, ...gapFigures } = gaps.result();
      const reused = reuse.figures();
      return {
        ...counted,
        // Without block ids every prompt looks new: that is not known, not a miss.
        call: reused === null ? { ...counted.call, uncachedTokens: null, hitRatio: null } : counted.call,
        session: reused === null ? { ...counted.session, uncachedTokens: null } : counted.session,
        ...turns.result(),
        gaps: gapFigures,
        ...fanOut.result(),
        arrivals: load.result(),
        reuse: reused,
        ...names.result(),
        cdfs: {
          ...lengthCdfs,
          ...gapCdfs,
          ...(reused === null ? { uncachedTokens: [], callHitRatio: [] } : {}),
        },
      };
    },
  };
}
