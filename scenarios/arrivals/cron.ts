// Cron bursts: the firing instants of `minute hour * * weekday`. Time 0 of a run is the first firing, so that nobody
// waits until nine o'clock; the following ones keep their distance.

const MINUTES_PER_DAY = 1440;
const DAYS_PER_WEEK = 7;

/** One field of a cron line: `*`, `9`, `1,3`, `1-5`, or a step such as every 15. Null when it cannot be read. */
function parseField(field: string, low: number, high: number): number[] | null {
  const values = new Set<number>();
  for (const part of field.split(',')) {
    const match = /^(\*|\d+(?:-\d+)?)(?:\/(\d+))?$/.exec(part);
    if (!match) return null;
    const [first = low, last] = match[1] === '*' ? [low, high] : (match[1] as string).split('-').map(Number);
    const to = last ?? (match[2] === undefined ? first : high);
    const step = Number(match[2] ?? 1);
    if (first < low || to > high || first > to || step < 1) return null;
    for (let value = first; value <= to; value += step) values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}

/** Minutes of the week at which a line fires, ascending; or why it cannot be read. */
export function parseCron(line: string): { minutesOfWeek: number[] } | { error: string } {
  const fields = line.trim().split(/\s+/);
  if (fields.length !== 5) return { error: `a cron line has five fields, got ${fields.length}` };
  const [minute = '', hour = '', dayOfMonth = '', month = '', weekday = ''] = fields;
  if (dayOfMonth !== '*' || month !== '*')
    return { error: 'day of month and month must be *: runs are shorter than that' };
  const minutes = parseField(minute, 0, 59);
  const hours = parseField(hour, 0, 23);
  const days = parseField(weekday, 0, DAYS_PER_WEEK);
  if (minutes === null || hours === null || days === null)
    return { error: 'use *, numbers, lists, ranges and steps' };
  const week = new Set<number>();
  for (const day of days) {
    for (const h of hours)
      for (const m of minutes) week.add((day % DAYS_PER_WEEK) * MINUTES_PER_DAY + h * 60 + m);
  }
  return { minutesOfWeek: [...week].sort((a, b) => a - b) };
}

/** The `index`-th firing, ms after the first. */
export function firingMs(minutesOfWeek: readonly number[], index: number): number {
  const first = minutesOfWeek[0] as number;
  const week = Math.floor(index / minutesOfWeek.length);
  const minute = minutesOfWeek[index % minutesOfWeek.length] as number;
  return (week * DAYS_PER_WEEK * MINUTES_PER_DAY + minute - first) * 60_000;
}
