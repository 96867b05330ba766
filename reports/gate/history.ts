// Figures for services that keep their history: github-action-benchmark's JSON and Bencher's metric format.
import type { GateCheck } from '../../scenarios/formats/comparison.ts';
import { changeText, type GateReport } from './report.ts';

const figures = ({ checks }: GateReport): (GateCheck & { value: number })[] =>
  checks.filter((check): check is GateCheck & { value: number } => check.value !== null);

/** Half of the interval of the change, in the figure's unit. */
const halfWidth = ({ ci95, baseline }: GateCheck): number | null =>
  ci95 === null || baseline === null ? null : (Math.abs(ci95[1] - ci95[0]) / 2) * Math.abs(baseline);

const json = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`;

/** An array for `customSmallerIsBetter` or `customBiggerIsBetter`: the tool takes one direction a file. */
export const actionBenchmark =
  (better: GateCheck['better']) =>
  (report: GateReport): string =>
    json(
      figures(report)
        .filter(check => check.better === better)
        .map(check => {
          const half = halfWidth(check);
          return {
            name: `${report.name} ${check.name}`,
            unit: check.unit,
            value: check.value,
            ...(half === null ? {} : { range: `± ${half}` }),
            extra: changeText(check),
          };
        }),
    );

/** Bencher Metric Format: { benchmark: { measure: { value, lower_value, upper_value } } }. */
export const bencher = (report: GateReport): string =>
  json({
    [report.name]: Object.fromEntries(
      figures(report).map(check => {
        const half = halfWidth(check);
        const range =
          half === null ? {} : { lower_value: check.value - half, upper_value: check.value + half };
        return [check.name, { value: check.value, ...range }];
      }),
    ),
  });
