// What was taken of a trace and what that did to it, in sentences.
import type { SelectionReport, TrafficFigures } from '../../scenarios/formats/selection.ts';
import { plural, showCount, showMs, showNumber, showRatio, showTokens } from '../numbers.ts';

/** One sentence, without its full stop, for each part of the selection. */
export function selectionSentences({
  window,
  longContexts,
  sample,
  gapCap,
  anonymized,
}: SelectionReport): string[] {
  const sentences: string[] = [];
  if (window !== null) {
    const until = window.toMs === null ? 'to the end' : `to ${showMs(window.toMs)}`;
    const of = window.clock === 'trace' ? 'of the trace' : 'of each session, as they have no common clock';
    sentences.push(
      `from ${showMs(window.fromMs)} ${until} ${of}: ${plural(window.sessionsKept, 'session')} stay, ` +
        `${showCount(window.sessionsCut)} of them cut, with ${plural(window.callsKept, 'call')}; ` +
        `${showTokens(window.primedTokens)} tokens of earlier context are primed`,
    );
  }
  if (longContexts !== null) {
    const { maxContextTokens, sessions, sessionsDropped } = longContexts;
    sentences.push(
      `${showCount(sessionsDropped)} of ${plural(sessions, 'session')} left out: a call of theirs has more than ` +
        `${showTokens(maxContextTokens)} tokens`,
    );
  }
  if (sample !== null) {
    const { before, after } = sample;
    sentences.push(
      `${showCount(after.sessions)} of ${showCount(before.sessions)} sessions: ${changes(before, after)}`,
    );
  }
  if (gapCap !== null) {
    const share = gapCap.gapsMs === 0 ? 0 : gapCap.removedMs / gapCap.gapsMs;
    sentences.push(
      `a gap cap of ${showMs(gapCap.capMs)} shortens ${showCount(gapCap.capped)} of ${plural(gapCap.gaps, 'gap')} ` +
        `and takes ${showRatio(share)} of the waiting time away`,
    );
  }
  if (anonymized !== null) {
    sentences.push(
      `pseudonyms for ${plural(anonymized.sessions, 'session')} and ${plural(anonymized.names, 'name')}, ` +
        `and ${plural(anonymized.blocks, 'block')} numbered anew`,
    );
  }
  return sentences;
}

/** What sampling thins out: rate, burstiness, and what sessions share. */
function changes(before: TrafficFigures, after: TrafficFigures): string {
  const pairs: string[] = [];
  const pair = (
    name: string,
    was: number | null | undefined,
    is: number | null | undefined,
    show: (value: number) => string,
  ) => {
    if (was === null || was === undefined) return;
    pairs.push(`${name} ${is === null || is === undefined ? '–' : show(is)} (was ${show(was)})`);
  };
  pair('sessions per second', before.arrivals?.ratePerSec, after.arrivals?.ratePerSec, showNumber);
  pair(
    'CV of the times between them',
    before.arrivals?.interArrivalCv,
    after.arrivals?.interArrivalCv,
    showNumber,
  );
  pair('hits in the session', before.reuse?.bySessionRatio, after.reuse?.bySessionRatio, showRatio);
  pair('hits across sessions', before.reuse?.acrossRatio, after.reuse?.acrossRatio, showRatio);
  return pairs.length === 0 ? 'neither arrivals nor block ids are recorded' : pairs.join(', ');
}
