// What a sweep prints: the answer, what holds, what matters, the front, and where the page is.
import type { SweepPoint, SweepResult } from '../../scenarios/formats/sweep.ts';
import { plural } from '../numbers.ts';
import { frontOf } from './charts/pareto.ts';
import {
  axisLabels,
  designText,
  effectText,
  failureText,
  holdsText,
  metricLabel,
  showWithSpread,
  sweepHeadline,
} from './words.ts';

/** Points of the front that are printed; the page has all. */
const ROWS_MAX = 8;

/** Cells in columns, all to the right but the first. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map(row => row[i]!.length)));
  return rows.map(row =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]! + 2)))
      .join('')
      .trimEnd(),
  );
}

/** One of points that are alike in metric and cost, such as those of routers before one replica. */
const different = (front: readonly SweepPoint[], { metric, cost }: SweepResult): SweepPoint[] =>
  front.filter(({ metrics }, i) => {
    const before = front[i - 1]?.metrics;
    return before?.[metric][0] !== metrics[metric][0] || before?.[cost][0] !== metrics[cost][0];
  });

/** Evenly, with the first and the last. */
const some = <T>(items: readonly T[], most: number): T[] =>
  items.length <= most
    ? [...items]
    : Array.from({ length: most }, (_, i) => items[Math.round((i * (items.length - 1)) / (most - 1))]!);

export function sweepSummary(sweep: SweepResult, { reportPath }: { reportPath: string }): string {
  const { header, metric, cost, runs, runsPlanned, seeds } = sweep;
  const front = metric === cost ? [] : different(frontOf(sweep), sweep);
  const figures = [...new Set([metric, cost])];
  const row = (point: SweepPoint): string[] => [
    ...point.values,
    ...figures.map(name => showWithSpread(name, point.metrics[name])),
    ...(point.holdsRatio === null ? [] : [point.holdsRatio === 1 ? 'holds' : 'fails']),
  ];
  const shown = some(front, ROWS_MAX).map(row);
  const head = [
    ...axisLabels(sweep),
    ...figures.map(metricLabel),
    ...((shown[0]?.length ?? 0) > sweep.axes.length + figures.length ? ['assertions'] : []),
  ];
  const even = shown.filter(cells => cells.length === head.length);
  const failure = failureText(sweep);
  return [
    `sweep of ${header.scenario.name} @ ${header.deployment.name}: ${designText(sweep)}`,
    `  ${sweepHeadline(sweep)}`,
    ...[holdsText(sweep), effectText(sweep)].flatMap(text => (text === null ? [] : [`  ${text}`])),
    ...(even.length === 0
      ? []
      : [
          `  Pareto front, ${even.length < front.length ? `${even.length} of ` : ''}${plural(front.length, 'point')}${seeds.length > 1 ? ' (± half the 95 % interval over seeds)' : ''}:`,
          ...columns([head, ...even]).map(line => `    ${line}`),
        ]),
    ...(failure === null ? [] : [`  ${failure}`]),
    ...(runs < runsPlanned
      ? [`  interrupted: the same command goes on with the other ${runsPlanned - runs} runs`]
      : []),
    ...header.warnings.slice(0, 3).map(warning => `  note: ${warning}`),
    `report: ${reportPath}`,
  ].join('\n');
}
