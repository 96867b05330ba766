// Block 10 of the page: how far to trust the numbers. Of a validation the answer and its bias;
// of a single simulated run what its step times rest on, and the command that would measure it.
import type { Comparison, Fitness, TimeMetric } from '../../scenarios/formats/validation.ts';
import { TIME_METRICS } from '../../scenarios/formats/validation.ts';
import { type Html, html } from '../html.ts';
import { showCount, showNumber, showRatio, showSignedRatio } from '../numbers.ts';
import { timeLabel } from '../worlds.ts';
import { table } from './table.ts';
import { part, type Section } from './view.ts';

const TRUST: Record<Fitness, string> = {
  absolute: 'Trust it for absolute numbers, and for ranking.',
  ranking: 'Trust it for ranking, not for absolute numbers.',
  neither: 'Trust it neither for absolute numbers nor for ranking.',
  'not-valid': 'Nothing is said: no measurement is valid.',
};

interface Bias {
  metric: TimeMetric;
  steps: number;
  /** Mean size and mean of the errors of the steps’ means, weighted by their calls. */
  absoluteRatio: number;
  signedRatio: number;
}

/** By step, or over all calls where there are no steps of it. */
export function biasOf({ groups }: Pick<Comparison, 'groups'>, metric: TimeMetric): Bias | null {
  const errorsOf = (kind: 'step' | 'workflow' | 'all') =>
    groups
      .filter(group => group.kind === kind)
      .flatMap(group =>
        group.times.flatMap(time =>
          time.metric !== metric || time.mean.errorRatio === null
            ? []
            : [{ errorRatio: time.mean.errorRatio, weight: time.measuredCount }],
        ),
      );
  const errors = [errorsOf('step'), errorsOf('workflow'), errorsOf('all')].find(({ length }) => length > 0);
  const weight = errors?.reduce((sum, each) => sum + each.weight, 0) ?? 0;
  if (errors === undefined || weight === 0) return null;
  const mean = (of: (error: number) => number): number =>
    errors.reduce((sum, each) => sum + each.weight * of(each.errorRatio), 0) / weight;
  return { metric, steps: errors.length, absoluteRatio: mean(Math.abs), signedRatio: mean(error => error) };
}

function biasTable({ groups }: Comparison): Html {
  const rows = TIME_METRICS.flatMap(metric => biasOf({ groups }, metric) ?? []);
  const ks = (metric: TimeMetric) =>
    groups.find(({ kind }) => kind === 'all')?.times.find(time => time.metric === metric)?.ks ?? null;
  return html`${table(
    ['Error', 'steps', 'size (MAPE)', 'bias', 'KS distance', 'by chance'],
    rows.map(({ metric, steps, absoluteRatio, signedRatio }) => {
      const distance = ks(metric);
      return [
        timeLabel(metric),
        showCount(steps),
        showRatio(absoluteRatio),
        showSignedRatio(signedRatio),
        distance === null ? '–' : showNumber(distance.distance),
        distance === null ? '–' : showNumber(distance.critical),
      ];
    }),
  )}<p class="note">Of the mean of each step, weighted by its calls: size is the mean of the errors without their sign, bias with it. A bias as large as the size is the same everywhere and could be calibrated away; one near 0 beside a large size is errors of both signs.</p>`;
}

/** The answer, and how large and how one-sided the errors are. null: not a validation. */
export const trustSection: Section = ({ validation }) => {
  if (validation === null) return null;
  const [comparison] = validation.comparisons;
  return html`
    <p class="trust"><b>${TRUST[validation.verdict.fitness]}</b></p>
    ${comparison !== undefined && biasTable(comparison)}`;
};

/** The same run, measured as well. */
const validating = (command: string): string =>
  command.replace(/^windtunnel simulate /, 'windtunnel validate ');

/** What the numbers of a simulation rest on. null: measured, or held against a measurement on this page. */
export const evidenceSection: Section = ({ run: { header }, validation }) => {
  if (validation !== null || header.world !== 'sim') return null;
  const body = html`${
    header.evidence.length === 0
      ? html`<p>Nothing is said of how its step times were found: take the numbers for ranking only.</p>`
      : html`<p>This run was simulated, not measured. Its step times rest on:</p><ul>${header.evidence.map(text => html`<li>${text}</li>`)}</ul>`
  }
  <p class="note">Measured beside a server: <code>${validating(header.command)}</code> (the deployment needs <code>endpoints</code>; <code>--emulate</code> measures our own emulator in their place). A server’s own step times: <code>windtunnel calibrate URL</code>.</p>`;
  return part('What a simulation rests on', body);
};
