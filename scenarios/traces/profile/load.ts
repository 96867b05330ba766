// When the sessions of a trace and their calls arrive, on its own clock.
import type { ArrivalProfile } from '../../formats/trace-profile.ts';
import { Arrivals, BinnedCounts } from '../arrivals.ts';
import type { ProfilePart } from './session-view.ts';

export function loadPart(): ProfilePart<ArrivalProfile | null> {
  const sessions = new Arrivals();
  const calls = new Arrivals();
  const bins = new BinnedCounts(2);

  return {
    add({ session: { arrivalMs }, starts }) {
      if (arrivalMs === null) return;
      sessions.record(arrivalMs);
      bins.record(0, arrivalMs);
      for (const startMs of starts) {
        calls.record(arrivalMs + startMs);
        bins.record(1, arrivalMs + startMs);
      }
    },
    result() {
      const figures = sessions.figures();
      if (figures === null) return null;
      const [sessionBins = [], callBins = []] = bins.counts();
      return { sessions: figures, calls: calls.figures()!, binMs: bins.binMs, sessionBins, callBins };
    },
  };
}
