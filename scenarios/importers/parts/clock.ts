// The clocks of traces: wall-clock texts as microseconds, and the grid that coarse timestamps lie on.

const UTC = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):?(\d\d))?$/;

/** Days from 1970-01-01 to a date of the Gregorian calendar; years begin in March, so that leap days come last. */
function daysFrom1970(year: number, month: number, day: number): number {
  const years = month > 2 ? year : year - 1;
  const months = (month + 9) % 12;
  const leapDays = Math.floor(years / 4) - Math.floor(years / 100) + Math.floor(years / 400);
  return years * 365 + leapDays + Math.floor((months * 153 + 2) / 5) + day - 719_469;
}

function daysIn(year: number, month: number): number {
  if (month !== 2) return [4, 6, 9, 11].includes(month) ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}

/**
 * Whole microseconds since 1970 of `2023-11-16 18:17:03.9799600`; further digits are rounded. A text without a zone is
 * UTC: the reader's own zone must not move a trace. Null where it is no such text.
 */
export function utcMicros(text: string): number | null {
  const match = UTC.exec(text);
  if (match === null) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return null;
  if (hour > 23 || minute > 59 || second > 60) return null;
  if (Number(match[9] ?? 0) > 23 || Number(match[10] ?? 0) > 59) return null;
  const micros = Math.round(Number(`0.${match[7] ?? 0}`) * 1_000_000);
  const aheadMinutes = Number(match[9] ?? 0) * 60 + Number(match[10] ?? 0);
  const minutes = daysFrom1970(year, month, day) * 1440 + hour * 60 + minute;
  const utcMinutes = match[8] === '-' ? minutes + aheadMinutes : minutes - aheadMinutes;
  return (utcMinutes * 60 + second) * 1_000_000 + micros;
}

/** Rows and steps that it takes to tell a grid from chance, and the least step that makes bursts. */
const GRID_ROWS_MIN = 20;
const GRID_STEPS_MIN = 5;
const GRID_MS_MIN = 100;

/**
 * The step of the grid that timestamps (ms, in file order) lie on, where several rows share each; null where there is
 * none. Mooncake's real traces have one of 3 s (workloads.md §4.3): all arrivals of 3 s at one instant, a burst that
 * the service never saw.
 */
export function gridMs(timestamps: readonly number[]): number | null {
  const instants = [...new Set(timestamps)].toSorted((a, b) => a - b);
  const steps = instants.slice(1).map((instant, row) => instant - (instants[row] as number));
  if (timestamps.length < GRID_ROWS_MIN || steps.length < GRID_STEPS_MIN) return null;
  if (timestamps.length < instants.length * 1.5) return null;
  // A short one of them: quiet times make steps of several.
  const short = steps.toSorted((a, b) => a - b)[Math.floor(steps.length / 4)] as number;
  const times = steps.map(each => Math.round(each / short));
  const strays = steps.filter((each, row) => Math.abs(each - (times[row] as number) * short) > short / 100);
  if (strays.length > steps.length / 20) return null;
  const spanMs = (instants.at(-1) as number) - (instants[0] as number);
  const step = Math.round(spanMs / times.reduce((sum, each) => sum + each, 0));
  return step >= GRID_MS_MIN ? step : null;
}
