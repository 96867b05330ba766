// What a prediction is good for, why, and what to try: the answer in words.
import { METRIC_LABELS } from '../../reports/metrics.ts';
import { plural, showCount, showMs, showNumber, showRatio, showSignedRatio } from '../../reports/numbers.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import type {
  Comparison,
  Fitness,
  Repeat,
  SeriesComparison,
  ValidationResult,
  ValidationRow,
} from '../../scenarios/formats/validation.ts';
import { unseenTimes } from './judged.ts';
import { BIAS_SPREAD_MAX, TAU_MIN } from './rank.ts';

export interface VerdictInput {
  /** The one that decides; null: nothing could be compared. */
  comparison: Comparison | null;
  series: readonly SeriesComparison[];
  /** Valid live runs. */
  live: readonly RunOutput[];
  repeats: readonly Repeat[];
}

/** With fewer values the error of a step is that of one or two calls. */
const STEP_COUNT_MIN = 5;
/** Requests that a server ended beyond ours, as a share of ours, that are somebody else's. */
const FOREIGN_RATIO = 0.02;

const FITNESS_WORDS: Record<Fitness, string> = {
  absolute: 'Good for absolute numbers',
  ranking: 'Good for ranking, not for absolute numbers',
  neither: 'Good for neither absolute numbers nor ranking',
  'not-valid': 'Not valid',
};

export function verdictOf(input: VerdictInput): ValidationResult['verdict'] {
  const { comparison, repeats } = input;
  if (comparison === null) {
    const why = repeats.find(({ valid }) => !valid)?.invalidReason ?? 'no live run was made';
    return {
      fitness: 'not-valid',
      headline: `Not valid: ${why}`,
      reasons: [
        'nothing is said of the server or of the simulation: try a lower load, or a machine with nothing else to do',
      ],
    };
  }
  const fitness: Fitness = comparison.pass
    ? 'absolute'
    : comparison.rank?.kept === true
      ? 'ranking'
      : 'neither';
  const { incident } = input.series[0] ?? {};
  const fit = `${FITNESS_WORDS[fitness]}: ${summary(comparison)}`;
  return {
    fitness,
    // Where a record decides, the question is whether the incident is there.
    headline:
      incident === undefined || incident.reproduced === 'nothing'
        ? fit
        : `${capital(incident.sentence)}. ${fit}`,
    reasons: reasonsOf(comparison, input),
  };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const size = ({ errorRatio }: ValidationRow): number =>
  errorRatio === null ? Number.POSITIVE_INFINITY : Math.abs(errorRatio);
/** How far beyond what is allowed. */
const excess = (row: ValidationRow): number => size(row) / Math.max(row.limitRatio, 1e-9);

const worstOf = (rows: readonly ValidationRow[]): ValidationRow | undefined =>
  rows.toSorted((a, b) => excess(b) - excess(a) || size(b) - size(a))[0];

const offBy = ({ metric, errorRatio }: ValidationRow): string =>
  errorRatio === null
    ? `${metric} is in one world only`
    : `${metric} is off by ${showSignedRatio(errorRatio)}`;

function summary({ rows }: Comparison): string {
  const failed = rows.filter(row => !row.pass);
  if (failed.length > 0)
    return `${failed.length} of ${plural(rows.length, 'metric')} miss their tolerance; worst, ${offBy(worstOf(failed)!)}`;
  const largest = rows.toSorted((a, b) => size(b) - size(a))[0];
  return `all ${plural(rows.length, 'metric')} are within tolerance${largest === undefined ? '' : `; at most, ${offBy(largest)}`}`;
}

/** What a prediction that is off can still be used for. */
function order({ rank }: Comparison): Reason {
  if (rank === null)
    return 'there are too few steps and sessions that differ to say whether their order is kept';
  const { of, count, tau, ratioP10, ratioP90, kept } = rank;
  const order = `Kendall ${tau.toFixed(2)}, at least ${TAU_MIN}`;
  const bias = `predicted times ×${showNumber(ratioP10)} to ×${showNumber(ratioP90)} of the measured, at most a factor ${BIAS_SPREAD_MAX} apart`;
  return `the order of ${count} ${of} is ${kept ? 'kept' : 'not kept well enough'}: ${order}; ${bias}`;
}

type Reason = string | null;

/** The most telling first: what makes worlds differ at all, before what makes them differ in time. */
function reasonsOf(comparison: Comparison, input: VerdictInput): string[] {
  const { rows, pass } = comparison;
  const isOff = !pass;
  const reasons: Reason[] = [
    left(input.repeats),
    isOff ? foreign(input) : null,
    isOff ? restarts(input) : null,
    isOff ? failures(comparison) : null,
    isOff ? tokens(comparison) : null,
    isOff ? cache(comparison) : null,
    unseen(comparison),
    worstStep(comparison),
    isOff && comparison.groups.length > 0 ? order(comparison) : null,
    isOff ? times(rows) : null,
    noise(rows, input, pass),
  ];
  return reasons.filter(reason => reason !== null);
}

/** What the driver could not see. */
function unseen({ measured, groups }: Comparison): Reason {
  const all = groups.find(({ kind }) => kind === 'all');
  if (measured !== 'live' || all === undefined || unseenTimes(all.times).length === 0) return null;
  return "TTFT and TPOT are not judged: who sent the calls saw no tokens; the server's own are on the page of the live run";
}

/** Where the worst metric is worst. */
function worstStep({ rows, groups }: Comparison): Reason {
  const steps = groups.filter(({ kind }) => kind === 'step');
  const worst = worstOf(rows.filter(({ unit }) => unit === 'ms'));
  if (steps.length < 2 || worst === undefined) return null;
  const found = steps
    .flatMap(({ name, times }) =>
      times
        .filter(
          ({ predictedCount, measuredCount }) => Math.min(predictedCount, measuredCount) >= STEP_COUNT_MIN,
        )
        .flatMap(({ metric, mean }) => (mean.errorRatio === null ? [] : [{ name, metric, mean }])),
    )
    .toSorted((a, b) => Math.abs(b.mean.errorRatio!) - Math.abs(a.mean.errorRatio!))[0];
  if (found === undefined || Math.abs(found.mean.errorRatio!) <= worst.limitRatio) return null;
  const { name, metric, mean } = found;
  return `of the steps, mean ${METRIC_LABELS[metric]} of "${name}" is furthest off: ${showSignedRatio(mean.errorRatio)} (predicted ${showMs(mean.predictedMs)}, measured ${showMs(mean.measuredMs)})`;
}

/** Calls that one world lost and the other did not. */
function failures({ groups, measured }: Comparison): Reason {
  const all = groups[0];
  if (all === undefined || Math.abs(all.measuredFailed - all.predictedFailed) < 0.5) return null;
  const hint =
    measured === 'live' && all.measuredFailed > all.predictedFailed
      ? 'errors by code are in the live report; refusals and timeouts change the load of all others'
      : 'what failed freed its place for others';
  return `${showCount(all.measuredFailed)} of ${showCount(all.measuredCalls)} calls failed when measured and ${showCount(all.predictedFailed)} when simulated: ${hint}`;
}

const failedRow = (rows: readonly ValidationRow[], metric: string): ValidationRow | undefined =>
  rows.find(row => row.metric === metric && !row.pass);

function tokens({ rows, measured }: Comparison): Reason {
  const prompt = failedRow(rows, 'prompt tokens');
  if (prompt !== undefined && measured === 'live') {
    return `the server counts ${showCount(prompt.measured ?? 0)} prompt tokens where the plan has ${showCount(prompt.predicted ?? 0)}: its tokenizer or chat template adds or merges; take \`api: tokens\` where the server takes token ids`;
  }
  const output = failedRow(rows, 'output tokens');
  return output === undefined || measured !== 'live'
    ? null
    : `answers have ${showSignedRatio(output.errorRatio)} of the tokens that were measured: force their length (ignore_eos, min_tokens), or calls end early and free the batch`;
}

function cache({ rows, measured }: Comparison): Reason {
  const row = failedRow(rows, 'cached tokens');
  if (row === undefined) return null;
  const more = (row.predicted ?? 0) > (row.measured ?? 0);
  const why = more
    ? 'the server keeps less than the simulation thinks (mind kv_blocks, block size, routing), or caches of several servers are not shared'
    : 'something had filled its cache before: take another --salt, or restart it';
  return `the prefix cache hits ${showCount(row.measured ?? 0)} tokens when measured and ${showCount(row.predicted ?? 0)} when simulated: ${measured === 'live' ? why : 'the recorded cache was of another size or began with content that the run does not have'}`;
}

/** Somebody else's requests on the same servers. */
function foreign({ live }: VerdictInput): Reason {
  for (const { calls, measured } of live) {
    const finished = measured?.servers.map(server => server.requestsFinished) ?? [];
    if (finished.length === 0 || finished.includes(null)) continue;
    const all = (finished as number[]).reduce((sum, count) => sum + count, 0);
    const own = calls.reduce((sum, { attempts }) => sum + Math.max(1, attempts), 0);
    if (all - own > Math.max(1, FOREIGN_RATIO * own))
      return `the servers ended ${showCount(all)} requests while we sent ${showCount(own)}: others use them; measure when they are free`;
  }
  return null;
}

function restarts({ live }: VerdictInput): Reason {
  const server = live.flatMap(run => run.measured?.servers ?? []).find(each => each.restarted);
  return server === undefined
    ? null
    : `server ${server.replica} started anew during the run: its cache was empty from then on`;
}

/** What the pattern of wrong times says. */
function times(rows: readonly ValidationRow[]): Reason {
  const off = (metric: string): number => failedRow(rows, metric)?.errorRatio ?? 0;
  const [ttft, tpot, e2e] = [off('mean TTFT'), off('mean TPOT'), off('mean E2E')];
  if (ttft === 0 && tpot === 0 && e2e === 0) return null;
  const speed = (error: number): string => (error < 0 ? 'faster' : 'slower');
  if (tpot === 0 && ttft !== 0)
    return `decoding is right and the first token is ${speed(ttft)} in the prediction: prefill, queueing or the way to the server; fit them with \`windtunnel calibrate\``;
  if (tpot !== 0 && ttft === 0)
    return `the first token is right and decoding is ${speed(tpot)} in the prediction: fit the decode step with \`windtunnel calibrate\``;
  return `the whole engine is ${speed(e2e || ttft)} in the prediction: fit a profile with \`windtunnel calibrate\` and name it in the deployment`;
}

/** Errors that the noise explains, or that nobody can tell from noise. */
function noise(rows: readonly ValidationRow[], { repeats, comparison }: VerdictInput, pass: boolean): Reason {
  if (comparison?.measured !== 'live') return null;
  const valid = repeats.filter(each => each.valid).length;
  if (valid < 2)
    return pass ? null : 'one live run says nothing of its own noise: measure it with --repeats 3';
  const noisy = rows
    .filter(
      ({ noiseRatio, toleranceRatio, limitRatio }) => noiseRatio !== null && limitRatio > toleranceRatio,
    )
    .toSorted((a, b) => b.noiseRatio! - a.noiseRatio!)[0];
  if (noisy === undefined) return null;
  return `${plural(valid, 'live run')} of the same plan differ: ${noisy.metric} by ${showRatio(noisy.noiseRatio)} (standard deviation), so that errors up to ${showRatio(noisy.limitRatio)} are let pass; a quieter machine or more repeats tell more`;
}

function left(repeats: readonly Repeat[]): Reason {
  const wrong = repeats.filter(({ valid }) => !valid);
  if (wrong.length === 0) return null;
  return `${wrong.length} of ${plural(repeats.length, 'live run')} is left out as not valid: ${wrong[0]!.invalidReason}`;
}
