// The points and the runs of a sweep as tables: a column an axis and a column a metric.
import {
  SWEEP_METRIC_NAMES,
  type SweepMetric,
  type SweepPoint,
  type SweepResult,
} from '../../scenarios/formats/sweep.ts';
import { type Cell, csvLine } from '../csv.ts';
import { type Columns, flag, real, tableParquet, text, whole } from '../parquet.ts';

/** A run as its row: null values where it failed. */
export interface SweepRunRow {
  readonly point: number;
  readonly seed: number | string;
  readonly values: Readonly<Record<SweepMetric, number | null>> | null;
  readonly holds: boolean | null;
  readonly failure: { readonly message: string; readonly exitCode: number } | null;
}

/** Text for settings that are no numbers, as in the file; `pools.main.replicas` is its own column. */
function axisColumns<Row>({ axes }: SweepResult, pointOf: (row: Row) => SweepPoint): Columns<Row> {
  return Object.fromEntries(
    axes.map(({ name, isNumeric }, i) => [
      name,
      isNumeric
        ? real((row: Row) => pointOf(row).numbers[i] ?? null)
        : text((row: Row) => pointOf(row).values[i]!),
    ]),
  );
}

const pointColumns = (sweep: SweepResult): Columns<SweepPoint> => {
  const places = new Map(sweep.ranking.map((i, place) => [sweep.points[i]!.index, place + 1]));
  return {
    point: whole(({ index }) => index),
    ...axisColumns<SweepPoint>(sweep, point => point),
    place: whole(({ index }) => places.get(index) ?? null),
    isFront: flag(({ isFront }) => isFront),
    seeds: whole(({ seeds }) => seeds),
    failedSeeds: whole(({ failures }) => failures.length),
    holdsRatio: real(({ holdsRatio }) => holdsRatio),
    ...Object.fromEntries(
      SWEEP_METRIC_NAMES.flatMap(name => [
        [name, real<SweepPoint>(({ metrics }) => metrics[name][0])],
        [`${name}.low95`, real<SweepPoint>(({ metrics }) => metrics[name][1])],
        [`${name}.high95`, real<SweepPoint>(({ metrics }) => metrics[name][2])],
      ]),
    ),
  };
};

const runColumns = (sweep: SweepResult): Columns<SweepRunRow> => {
  const points = new Map(sweep.points.map(point => [point.index, point]));
  return {
    point: whole(({ point }) => point),
    seed: text(({ seed }) => String(seed)),
    ...axisColumns<SweepRunRow>(sweep, ({ point }) => points.get(point)!),
    holds: flag(({ holds }) => holds),
    error: text(({ failure }) => failure?.message ?? null),
    exitCode: whole(({ failure }) => failure?.exitCode ?? null),
    ...Object.fromEntries(
      SWEEP_METRIC_NAMES.map(name => [name, real<SweepRunRow>(({ values }) => values?.[name] ?? null)]),
    ),
  };
};

const csv = <Row>(columns: Columns<Row>, rows: readonly Row[]): string => {
  const cells = Object.values(columns);
  const lines: Cell[][] = [Object.keys(columns), ...rows.map(row => cells.map(({ cell }) => cell(row)))];
  return lines.map(csvLine).join('');
};

/** Files by name. */
export function sweepTables(
  sweep: SweepResult,
  runs: readonly SweepRunRow[],
): Readonly<Record<string, Uint8Array | string>> {
  const [ofPoints, ofRuns] = [pointColumns(sweep), runColumns(sweep)];
  return {
    'points.parquet': tableParquet(ofPoints, sweep.points),
    'points.csv': csv(ofPoints, sweep.points),
    'runs.parquet': tableParquet(ofRuns, runs),
    'runs.csv': csv(ofRuns, runs),
  };
}
