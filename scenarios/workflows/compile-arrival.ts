// Compiles the arrival of a cohort: which process it is, and how its rate moves.
import type { OpenArrival } from '../arrivals/arrivals.ts';
import { parseCron } from '../arrivals/cron.ts';
import { type Gaps, isSilent, type Phase, type Rate } from '../arrivals/rate.ts';
import { gammaOf, weibullOf, weibullShape } from '../base/distributions.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { plainAmount } from '../formats/amount.ts';
import { type Dimension, parseScalar } from '../formats/quantity.ts';
import type { RecordedSession } from '../formats/recorded.ts';
import { type ArrivalFile, MODULATOR_NAMES, PROCESSES, type Process } from '../formats/traffic.ts';

export interface ArrivalContext {
  readonly arrival: ArrivalFile;
  /** Of the arrival in the file. */
  readonly path: InputPath;
  /** Sessions of the trace in the order they are replayed; null for a workflow. */
  readonly recorded: readonly RecordedSession[] | null;
  readonly issues: Issue[];
}

/** Processes whose rate can move. */
const RENEWALS = ['poisson', 'gamma', 'weibull', 'constant'] as const;
type Renewal = (typeof RENEWALS)[number];

/** The one process of an arrival, or null with an issue: also where its rate is moved and it has none. */
export function processOf(arrival: ArrivalFile, path: InputPath, issues: Issue[]): Process | null {
  const given = (Object.keys(PROCESSES) as Process[]).filter(each => arrival[each] !== undefined);
  const [process] = given;
  if (process === undefined || given.length > 1) {
    const hint = 'e.g. arrival: { poisson: { rate: 0.05/s } } (open) or { closed: { agents: 25 } }';
    const found = process === undefined ? '' : `, found ${given.join(' and ')}`;
    issues.push(issue(path, 'WT1005', `a cohort has exactly one arrival process${found}`, hint));
    return null;
  }
  const move = MODULATOR_NAMES.find(each => arrival[each] !== undefined);
  if (move === undefined || (RENEWALS as readonly string[]).includes(process)) return process;
  const hint = `these are for ${RENEWALS.join(', ')}`;
  const message = `\`${move}\` has no meaning beside ${process}`;
  issues.push(issue([...path, move], 'WT1005', message, hint, { atKey: true }));
  return null;
}

/** A scalar that the schema has checked; 0 where it could not be read. */
function scalar(raw: string | number | undefined, dimension: Dimension): number {
  const parsed = raw === undefined ? null : parseScalar(raw, dimension);
  return parsed !== null && 'value' in parsed ? parsed.value : 0;
}

/** An open arrival; null with issues, or for a closed one. */
export function openArrival(context: ArrivalContext, process: Process): OpenArrival | null {
  switch (process) {
    case 'closed':
      return null;
    case 'at_once':
      return { kind: 'at-once' };
    case 'recorded':
      return recordedArrival(context);
    case 'cron':
      return cronArrival(context);
    default:
      return renewalArrival(context, process);
  }
}

function recordedArrival({ arrival, path, recorded, issues }: ArrivalContext): OpenArrival | null {
  const speed = typeof arrival.recorded === 'object' ? arrival.recorded.speed : 1;
  const atMs = (recorded ?? []).map(session => session.arrivalMs);
  if (recorded === null || atMs.some(each => each === null)) {
    const hint = 'use at_once, poisson or closed';
    issues.push(issue([...path, 'recorded'], 'WT1005', 'these sessions have no recorded arrivals', hint));
    return null;
  }
  return { kind: 'recorded', atMs: (atMs as number[]).map(each => each / speed) };
}

function cronArrival({ arrival, path, issues }: ArrivalContext): OpenArrival | null {
  const cron = typeof arrival.cron === 'string' ? { at: arrival.cron } : arrival.cron;
  if (cron === undefined) return null;
  const parsed = parseCron(cron.at);
  if ('error' in parsed) {
    const message = `cannot read the cron line "${cron.at}": ${parsed.error}`;
    issues.push(issue([...path, 'cron'], 'WT1005', message, 'e.g. "0 9 * * 1-5"'));
    return null;
  }
  const jitterMs =
    cron.jitter === undefined ? null : plainAmount(cron.jitter, [...path, 'cron', 'jitter'], issues);
  return { kind: 'cron', minutesOfWeek: parsed.minutesOfWeek, size: cron.size ?? 1, jitterMs };
}

function renewalArrival(context: ArrivalContext, process: Renewal): OpenArrival | null {
  const { arrival, path, issues } = context;
  const given = arrival[process];
  const own: { rate?: string | number | undefined; cv?: number | undefined; shape?: number | undefined } =
    typeof given === 'object' ? given : {};
  const ownPath = [...path, process];
  const before = issues.length;
  const fail = (at: InputPath, message: string, hint: string): void => {
    issues.push(issue(at, 'WT1005', message, hint));
  };
  if (arrival.phases !== undefined && arrival.ramp !== undefined)
    fail(
      [...path, 'ramp'],
      'an arrival has `phases` or a `ramp`, not both',
      'write the ramp as a phase with `to`',
    );
  const hasCurve = arrival.phases !== undefined || arrival.ramp !== undefined;
  const needsRate = !hasCurve || (arrival.phases ?? []).some(({ rate }) => rate === undefined);
  const basePerSec = scalar(own.rate, 'perSec');
  if (needsRate && own.rate === undefined)
    fail(ownPath, `${process} needs a rate`, `e.g. ${process}: { rate: 0.05/s }`);
  else if (own.rate !== undefined && basePerSec <= 0)
    fail([...ownPath, 'rate'], 'a rate must be above 0', 'e.g. 0.05/s');
  if (!needsRate && own.rate !== undefined)
    fail([...ownPath, 'rate'], 'the rate stands here and in every phase', 'keep one of them');

  const gaps = gapsOf(process, own, ownPath, issues);
  const stay = (perSec: number): Phase => ({ forMs: 0, fromPerSec: perSec, toPerSec: perSec, gaps });
  const phases: Phase[] =
    arrival.ramp !== undefined
      ? [
          {
            forMs: scalar(arrival.ramp.over, 'ms'),
            fromPerSec: scalar(arrival.ramp.from, 'perSec'),
            toPerSec: scalar(arrival.ramp.to, 'perSec'),
            gaps,
          },
        ]
      : (arrival.phases?.map((phase, index) => {
          const at = [...path, 'phases', index];
          if (phase.rate !== undefined && phase.times !== undefined)
            fail([...at, 'times'], 'a phase has `rate` or `times`, not both', 'keep one of them');
          const fromPerSec =
            phase.rate === undefined ? basePerSec * (phase.times ?? 1) : scalar(phase.rate, 'perSec');
          const toPerSec = phase.to === undefined ? fromPerSec : scalar(phase.to, 'perSec');
          const kind = phase.process ?? process;
          const inner =
            phase.process === undefined && phase.cv === undefined
              ? gaps
              : gapsOf(kind, phase.cv === undefined && kind === process ? own : { cv: phase.cv }, at, issues);
          return { forMs: scalar(phase.for, 'ms'), fromPerSec, toPerSec, gaps: inner };
        }) ?? [stay(basePerSec)]);
  if (issues.length > before) return null;
  const { spike, diurnal } = arrival;
  const rate: Rate = {
    phases,
    stays: arrival.phases === undefined,
    spike:
      spike === undefined
        ? null
        : { atMs: scalar(spike.at, 'ms'), forMs: scalar(spike.for, 'ms'), times: spike.times },
    diurnal:
      diurnal === undefined
        ? null
        : {
            peakMs: (diurnal.peak_hour - (diurnal.start_hour ?? 0)) * 3_600_000,
            peakToTrough: diurnal.peak_to_trough,
          },
  };
  if (isSilent(rate)) {
    const at = arrival.ramp === undefined ? 'phases' : 'ramp';
    fail(
      [...path, at],
      'no session ever starts: at no time the rate is above 0',
      'give it a rate for a while',
    );
    return null;
  }
  return { kind: 'renewal', rate };
}

/** Gaps of mean 1. */
function gapsOf(
  process: Renewal,
  { cv, shape }: { cv?: number | undefined; shape?: number | undefined },
  path: InputPath,
  issues: Issue[],
): Gaps {
  const bursty = process === 'gamma' || process === 'weibull';
  if (bursty && cv === undefined && shape === undefined) {
    issues.push(issue(path, 'WT1004', `${process} needs a cv`, 'e.g. cv: 2.2; 1 is as random as poisson'));
  }
  if (cv !== undefined && shape !== undefined)
    issues.push(
      issue([...path, 'shape'], 'WT1005', `${process} has cv or shape, not both`, 'keep one of them'),
    );
  if (!bursty && cv !== undefined) {
    const hint = 'write gamma or weibull for bursty arrivals';
    issues.push(issue([...path, 'cv'], 'WT1005', `${process} has no cv of its own`, hint));
  }
  switch (process) {
    case 'gamma':
      return { process, unit: gammaOf(1, cv ?? 1) };
    case 'weibull':
      return { process, unit: weibullOf(1, shape ?? weibullShape(cv ?? 1)) };
    case 'poisson':
      return { process, unit: { kind: 'exponential', mean: 1 } };
    case 'constant':
      return { process, unit: { kind: 'constant', value: 1 } };
  }
}
