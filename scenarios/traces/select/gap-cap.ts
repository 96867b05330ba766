// What a cap on gaps takes away from recorded sessions. Idle time is where caches lose their content, so a capped run
// flatters every cache: whoever reads it should know by how much.
import type { RecordedSession } from '../../formats/recorded.ts';
import type { GapCapReport } from '../../formats/selection.ts';

/** Counts the gaps before calls. What waits for no call has none, and counts only where the cap shortens its wait. */
export class GapCapCounter {
  readonly report: GapCapReport;
  private readonly gapScale: number;

  /** `gapScale` multiplies every gap before the cap. */
  constructor({ capMs, gapScale }: { capMs: number; gapScale: number }) {
    this.report = { capMs, gaps: 0, capped: 0, gapsMs: 0, removedMs: 0 };
    this.gapScale = gapScale;
  }

  add({ calls }: RecordedSession): void {
    const { report, gapScale } = this;
    for (const { parents, gapMs } of calls) {
      const scaledMs = gapMs * gapScale;
      if (parents.length === 0 && scaledMs <= report.capMs) continue;
      report.gaps += 1;
      report.gapsMs += scaledMs;
      if (scaledMs <= report.capMs) continue;
      report.capped += 1;
      report.removedMs += scaledMs - report.capMs;
    }
  }
}

/** The warning of a run; null where the cap changes nothing. */
export function gapCapWarning({ capMs, gaps, capped, gapsMs, removedMs }: GapCapReport): string | null {
  if (capped === 0) return null;
  const share = (part: number, whole: number): string => `${((part / whole) * 100).toFixed(1)} %`;
  return (
    `the gap cap of ${capMs / 1000} s shortens ${capped} of ${gaps} gaps (${share(capped, gaps)}) and takes away ` +
    `${share(removedMs, gapsMs)} of all waiting time: contexts lie idle for less, so caches look better than recorded`
  );
}
