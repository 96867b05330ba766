// The end of simulated time: whole nanoseconds are exact to 2^53 of them.
import { UserError } from '../scenarios/base/errors.ts';

/** 2^53 ns. */
const HORIZON_DAYS = 104;

/** What a run that goes on for longer is told. */
export const beyondHorizon = (): UserError =>
  new UserError(`the run goes on beyond ${HORIZON_DAYS} days, the longest that nanoseconds count exactly`, {
    hint: 'shorten waits and arrivals, cap the gaps of a trace with --gap-cap, or look for a deployment far too slow for its traffic',
  });
