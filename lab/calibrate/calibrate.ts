// A calibration from the first call to the fit.
//
//   1. what the server says   2. what it does: limits   3. experiments in rounds, until the time is over   4. fit
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { extend, textKey, uniform } from '../../scenarios/base/key.ts';
import { affordable, type Limits, type Setting, settingName, settings, shuffled } from './design.ts';
import { busyRequests, type Facts, readFacts } from './facts.ts';
import { type Fit, fitCosts, type Observation } from './fit.ts';
import { type Probed, probe } from './probes.ts';
import { type Burst, type Join, measure } from './run.ts';
import type { Target } from './target.ts';

export interface CalibrateOptions {
  target: Target;
  seconds: number;
  isQuick: boolean;
  given: Partial<Limits>;
  onProgress: (text: string) => void;
  isStopped: () => boolean;
}

export interface Outcome extends Probed {
  facts: Facts;
  observations: Observation[];
  joins: Join[];
  bursts: Burst[];
  fit: Fit;
  disturbed: number;
  /** Whole ones, and a last one that the time ended. */
  rounds: number;
  /** Why it ended before its time; null: it did not. */
  cut: string | null;
  seconds: number;
}

/** Of the whole time, at least so much is for experiments, however long the limits took to find. */
const EXPERIMENTS_SHARE = 0.5;

export async function calibrate(options: CalibrateOptions): Promise<Outcome> {
  const { target, given, isQuick, onProgress, isStopped } = options;
  const startMs = target.clock.nowMs();
  // 1.
  const facts = await readFacts(target);
  // 2.
  const probed = await probe({
    target,
    facts,
    given,
    isQuick,
    onProbe: what => onProgress(`finding ${what}`),
  });
  // 3.
  const probedMs = target.clock.nowMs() - startMs;
  const leftMs = Math.max(options.seconds * 1000 - probedMs, options.seconds * 1000 * EXPERIMENTS_SHARE);
  const measured = await rounds(options, probed, facts.hasMetrics, leftMs);
  // 4.
  if (isStopped() && measured.rounds === 0)
    throw new UserError('interrupted in the first round: what was not measured would cost nothing', {
      hint: 'let one round end; --quick has short ones',
      exitCode: EXIT.interrupted,
    });
  if (measured.observations.length === 0)
    throw new UserError('nothing was measured', {
      hint: 'give more --minutes, or see what else the server does',
    });
  onProgress('fitting');
  const seconds = (target.clock.nowMs() - startMs) / 1000;
  return { ...probed, facts, ...measured, fit: fitCosts(measured.observations), seconds };
}

interface Gathered {
  observations: Observation[];
  joins: Join[];
  bursts: Burst[];
  disturbed: number;
  rounds: number;
  cut: string | null;
}

async function rounds(
  { target, onProgress, isStopped }: CalibrateOptions,
  { limits, pace }: Probed,
  hasMetrics: boolean,
  leftMs: number,
): Promise<Gathered> {
  const kept = affordable(settings(limits), pace, leftMs);
  const key = textKey(`calibrate/order/${target.options.salt}`);
  const gathered: Gathered = { observations: [], joins: [], bursts: [], disturbed: 0, rounds: 0, cut: null };
  const endMs = target.clock.nowMs() + leftMs;
  let draws = 0;
  const random = (): number => uniform(extend(key, -1, draws++));
  const isOver = (): boolean => isStopped() || (gathered.rounds > 0 && target.clock.nowMs() > endMs);
  // The first round is finished, whatever it takes: without it costs would be missing.
  while (!isOver()) {
    for (const setting of shuffled(kept, key, gathered.rounds)) {
      if (isOver()) break;
      try {
        await once(setting);
      } catch (error) {
        // A server that fails in a later round leaves what was measured before.
        if (!(error instanceof UserError) || gathered.rounds === 0) throw named(error, setting);
        gathered.cut = error.message;
        return gathered;
      }
    }
    if (!isStopped()) gathered.rounds += 1;
  }
  return gathered;

  async function once(setting: Setting): Promise<void> {
    onProgress(`round ${gathered.rounds + 1}: ${settingName(setting)}`);
    if (!(await isIdle(target, hasMetrics))) {
      gathered.disturbed += 1;
      return;
    }
    const how = { target, limits, round: gathered.rounds, random, stepMs: pace.stepMs };
    const found = await measure(setting, how);
    // What is still there was there before it ended.
    if (await isIdle(target, hasMetrics)) {
      gathered.observations.push(...found.observations);
      gathered.joins.push(...found.joins);
      gathered.bursts.push(...found.bursts);
    } else gathered.disturbed += 1;
  }
}

/** A setting that the server refuses is told by name. */
function named(error: unknown, setting: Setting): unknown {
  if (!(error instanceof UserError)) return error;
  const { message, hint, exitCode } = error;
  return new UserError(`${settingName(setting)}: ${message}`, { hint, exitCode });
}

/** Gauges lag behind by a step or two. */
const GAUGE_LAG_MS = 400;

/** Whether nobody else's requests are there; a server that does not say is taken to be idle. */
async function isIdle(target: Target, hasMetrics: boolean): Promise<boolean> {
  if (!hasMetrics || (await showsNobody(target))) return true;
  // Where a client left between two steps, vLLM shows its request until the next step: this makes one.
  await target.call({ tokens: 8, outputTokens: 2 });
  return showsNobody(target);
}

async function showsNobody(target: Target): Promise<boolean> {
  const untilMs = target.clock.nowMs() + GAUGE_LAG_MS;
  for (;;) {
    if (((await busyRequests(target)) ?? 0) === 0) return true;
    if (target.clock.nowMs() > untilMs) return false;
    await target.pause(25);
  }
}
