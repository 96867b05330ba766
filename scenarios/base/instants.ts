// Instants are whole nanoseconds in a simulation and ms everywhere else: what was meant for now may lie a hair behind it.

/** One nanosecond, ms. */
export const NANOSECOND_MS = 1e-6;
