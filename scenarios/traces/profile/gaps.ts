// Gaps of a trace: how long a context lies idle before the next call, by what fills the time, and against the lifetimes
// of caches.
import type { Cdf, CdfName, GapKind, GapOver, TraceProfile } from '../../formats/trace-profile.ts';
import type { ProfilePart } from './session-view.ts';
import { SpreadSketch } from './spread.ts';

/** Lifetimes of cached contexts: a busy pool's half minute and minute, an API provider's five minutes and hour. */
const LIMITS_MS = [30_000, 60_000, 300_000, 3_600_000] as const;

type Gaps = TraceProfile['gaps'] & {
  cdfs: Record<Extract<CdfName, 'toolGapMs' | 'humanGapMs' | 'otherGapMs'>, Cdf>;
};

interface Over {
  gaps: number;
  promptTokens: number;
  byKind: Record<GapKind, number>;
}

const noKinds = (): Record<GapKind, number> => ({ tool: 0, human: 0, client: 0, unknown: 0 });

export function gapPart(): ProfilePart<Gaps> {
  const all = new SpreadSketch();
  const other = new SpreadSketch();
  const byKind: Record<GapKind, SpreadSketch> = {
    tool: new SpreadSketch(),
    human: new SpreadSketch(),
    client: new SpreadSketch(),
    unknown: new SpreadSketch(),
  };
  const over: Over[] = LIMITS_MS.map(() => ({ gaps: 0, promptTokens: 0, byKind: noKinds() }));
  let promptTokens = 0;

  return {
    add({ session }) {
      for (const { parents, gapMs, gapKind, promptTokens: tokens } of session.calls) {
        // Nothing lies idle before the first call of a session.
        if (parents.length === 0) continue;
        all.record(gapMs);
        byKind[gapKind].record(gapMs);
        if (gapKind === 'client' || gapKind === 'unknown') other.record(gapMs);
        promptTokens += tokens;
        for (const [row, limitMs] of LIMITS_MS.entries()) {
          if (gapMs <= limitMs) break;
          const sums = over[row]!;
          sums.gaps += 1;
          sums.promptTokens += tokens;
          sums.byKind[gapKind] += 1;
        }
      }
    },
    result: () => ({
      all: all.spread(),
      other: other.spread(),
      byKind: {
        tool: byKind.tool.spread(),
        human: byKind.human.spread(),
        client: byKind.client.spread(),
        unknown: byKind.unknown.spread(),
      },
      over: over.map((sums, row): GapOver => {
        const share = (kind: GapKind): number | null =>
          byKind[kind].n === 0 ? null : sums.byKind[kind] / byKind[kind].n;
        return {
          limitMs: LIMITS_MS[row]!,
          callsRatio: all.n === 0 ? 0 : sums.gaps / all.n,
          promptTokensRatio: promptTokens === 0 ? 0 : sums.promptTokens / promptTokens,
          toolRatio: share('tool'),
          humanRatio: share('human'),
        };
      }),
      cdfs: { toolGapMs: byKind.tool.cdf(), humanGapMs: byKind.human.cdf(), otherGapMs: other.cdf() },
    }),
  };
}
