// By the clock: so many replicas from so long after the start of the run, over again each period. What teams do that
// know their day (KEDA's cron trigger, scheduled actions of the clouds).
import { numberOptions } from '../../gateway/routing/options.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { defineScalingPolicy } from './policy.ts';

const DEFAULTS = {
  /** A day, ms. */
  period: 24 * 3_600_000,
};

/** Then it looks when an entry begins. */
const FIRST_LOOK_MS = 1000;

interface Entry {
  /** Since the start of the period, ms. */
  readonly at: number;
  readonly replicas: number;
}

const isEntry = (value: unknown): value is Entry =>
  typeof value === 'object' &&
  value !== null &&
  [(value as Entry).at, (value as Entry).replicas].every(each => typeof each === 'number' && each >= 0);

function entriesOf(times: unknown, periodMs: number): Entry[] {
  if (!Array.isArray(times) || times.length === 0 || !times.every(isEntry))
    throw new UserError('policy schedule needs `times`', {
      hint: 'a list such as [{ at: 8h, replicas: 6 }, { at: 20h, replicas: 1 }]',
    });
  const late = times.find(({ at }) => at >= periodMs);
  if (late !== undefined)
    throw new UserError(
      `policy schedule: an entry at ${late.at} ms is not within the period of ${periodMs} ms`,
      {
        hint: 'give a longer `period`, or an earlier time',
      },
    );
  return times.toSorted((a, b) => a.at - b.at);
}

/** The entry with the latest `at` that is past; before the first, the last of the period before. */
export default defineScalingPolicy({
  name: 'schedule',
  doc: 'By the clock: so many replicas from each time on, every day.',
  source: 'KEDA cron trigger; scheduled scaling of AWS, Google Cloud and Azure',
  create({ times, ...rest }) {
    const { period } = numberOptions('schedule', rest, DEFAULTS);
    const entries = entriesOf(times, period);
    const autoscaler = {
      intervalMs: FIRST_LOOK_MS,
      desired({ nowMs }: { nowMs: number }) {
        const sinceMs = nowMs % period;
        const next = entries.find(({ at }) => at > sinceMs)?.at ?? period + entries[0]!.at;
        autoscaler.intervalMs = next - sinceMs;
        return (entries.findLast(({ at }) => at <= sinceMs) ?? entries[entries.length - 1]!).replicas;
      },
    };
    return autoscaler;
  },
});
