// The metric over the two axes that matter most; of all others the best point, or one combination of them at a time.
import type { SweepPoint, SweepResult } from '../../../scenarios/formats/sweep.ts';
import { type Chart, type ChartChoice, chartSpec, INK, PALETTE } from '../../charts/chart.ts';
import {
  axesByEffect,
  failsAssertions,
  figureOf,
  type Groups,
  groupsOf,
  placesOf,
  standings,
} from '../space.ts';
import { axisLabels, metricLabel, metricPhrase, pointName, showFigure } from '../words.ts';

/** Combinations of the other axes that can be picked. */
const CHOICES_MAX = 40;
/** With more columns the numbers stand in the table alone. */
const CELL_PX = 44;
const HOLDS = 'holds';
const FAILS = 'fails';
const FAILING_SHADE = 0.35;

interface Cell {
  row: string;
  column: string;
  text: string;
  /** 0 the worst point of the sweep, 1 the best. */
  strength: number;
  /** Of a cell that fails always the same. */
  shade: number;
  state: typeof HOLDS | typeof FAILS;
  at: string;
  value: number;
}

interface Map2 {
  readonly across: Groups;
  readonly down: Groups;
  readonly names: { across: string; down: string; others: string[] };
  readonly others: readonly number[];
}

function mapOf(sweep: SweepResult): Map2 | null {
  const [first, second, ...others] = axesByEffect(sweep);
  if (first === undefined || second === undefined || sweep.ranking.length === 0) return null;
  const labels = axisLabels(sweep);
  // The longer one goes across, where numbers read from left to right.
  const [across, down] =
    sweep.axes[first]!.values.length >= sweep.axes[second]!.values.length ? [first, second] : [second, first];
  return {
    across: groupsOf(sweep, across),
    down: groupsOf(sweep, down),
    names: { across: labels[across]!, down: labels[down]!, others: others.map(axis => labels[axis]!) },
    others,
  };
}

/** The best point of each cell. */
function cellsOf(sweep: SweepResult, { across, down }: Map2, among: (point: SweepPoint) => boolean): Cell[] {
  const places = placesOf(sweep);
  const strengths = standings(sweep);
  const best = new Map<string, { i: number; row: string; column: string }>();
  for (const [i, point] of sweep.points.entries()) {
    const place = places.get(i);
    if (place === undefined || !among(point)) continue;
    const cell = { i, row: down.of(point), column: across.of(point) };
    const key = JSON.stringify([cell.row, cell.column]);
    const known = best.get(key);
    if (known === undefined || place < places.get(known.i)!) best.set(key, cell);
  }
  return [...best.values()].map(({ i, row, column }) => {
    const point = sweep.points[i]!;
    const value = figureOf(point, sweep.metric) as number;
    const isFailing = failsAssertions(point);
    return {
      row,
      column,
      text: `${showFigure(sweep.metric, value)}${isFailing ? ' ✗' : ''}`,
      strength: strengths.get(i)!,
      shade: isFailing ? FAILING_SHADE : strengths.get(i)!,
      state: isFailing ? FAILS : HOLDS,
      at: pointName(point, sweep),
      value,
    };
  });
}

const rowsOf = (cells: readonly Cell[]) =>
  cells.map(({ row, column, value, state, at }) => [row, column, value, state, at]);

const overOthers = (names: readonly string[]): string =>
  names.length === 0 ? '' : `, best over ${names.join(', ')}`;

function titleOf(sweep: SweepResult, map: Map2, cells: readonly Cell[], where: string): string {
  const best = cells.reduce((most, cell) => (cell.strength > most.strength ? cell : most), cells[0]!);
  const worst = cells.reduce((least, cell) => (cell.strength < least.strength ? cell : least), cells[0]!);
  return `From ${showFigure(sweep.metric, worst.value)} at ${map.names.across} ${worst.column}, ${map.names.down} ${worst.row} to ${metricPhrase(sweep.metric, best.value)} at ${map.names.across} ${best.column}, ${map.names.down} ${best.row}${where}`;
}

export const heatMap: Chart<SweepResult> = {
  id: 'heat-map',
  howToRead:
    'The two settings that matter most are the axes. The stronger the colour of a cell, the better its place among all ' +
    'points; orange with a cross: an assertion fails with at least one seed. Where other settings vary too, a cell is the ' +
    'best point over them, as the title says, until one combination of them is picked. A long axis of numbers is in ranges.',

  title(sweep) {
    const map = mapOf(sweep);
    if (map === null) return 'The metric over two settings';
    return titleOf(
      sweep,
      map,
      cellsOf(sweep, map, () => true),
      overOthers(map.names.others),
    );
  },

  spec(sweep) {
    const map = mapOf(sweep);
    if (map === null)
      return {
        absent:
          sweep.ranking.length === 0
            ? 'no point has the metric'
            : 'one setting varies; a map needs two, with another --vary',
      };
    const { across, down, names } = map;
    const axis = { domain: false, ticks: false };
    const x = {
      field: 'column',
      type: 'nominal',
      scale: { domain: across.labels },
      title: names.across,
      axis: {
        ...axis,
        orient: 'top',
        labelAngle: across.areBins ? -45 : 0,
        labelLimit: 110,
        labelOverlap: 'greedy',
      },
    };
    const y = {
      field: 'row',
      type: 'nominal',
      scale: { domain: down.labels },
      title: names.down,
      axis: { ...axis, labelLimit: 130 },
    };
    return chartSpec(
      { cells: cellsOf(sweep, map, () => true) },
      {
        height: { step: 34 },
        layer: [
          {
            data: { name: 'cells' },
            mark: { type: 'rect', cornerRadius: 2 },
            encoding: {
              x,
              y,
              color: {
                field: 'state',
                type: 'nominal',
                scale: { domain: [HOLDS, FAILS], range: [PALETTE.blue, PALETTE.vermilion] },
                legend: null,
              },
              opacity: {
                field: 'shade',
                type: 'quantitative',
                scale: { domain: [0, 1], range: [0.05, 0.75] },
                legend: null,
              },
              tooltip: [
                { field: 'at', title: 'at' },
                { field: 'text', title: metricLabel(sweep.metric) },
                ...(sweep.assertions > 0 ? [{ field: 'state', title: 'assertions' }] : []),
              ],
            },
          },
          {
            data: { name: 'cells' },
            mark: {
              type: 'text',
              fontSize: 11,
              color: INK,
              opacity: { expr: `width < ${across.labels.length * CELL_PX} ? 0 : 1` },
            },
            encoding: { x, y, text: { field: 'text' } },
          },
        ],
      },
    );
  },

  table(sweep) {
    const map = mapOf(sweep);
    return {
      columns: [
        map?.names.down ?? 'row',
        map?.names.across ?? 'column',
        metricLabel(sweep.metric),
        'assertions',
        'best point',
      ],
      rows: map === null ? [] : rowsOf(cellsOf(sweep, map, () => true)),
    };
  },

  choices(sweep) {
    const map = mapOf(sweep);
    if (map === null || map.others.length === 0) return [];
    const combination = ({ values }: SweepPoint): string =>
      JSON.stringify(map.others.map(axis => values[axis]!));
    const found = [...new Set(sweep.points.map(combination))];
    if (found.length > CHOICES_MAX) return [];
    const choice = (id: string, label: string, where: string, among: (point: SweepPoint) => boolean) => {
      const cells = cellsOf(sweep, map, among);
      if (cells.length === 0) return [];
      return [
        { id, label, title: titleOf(sweep, map, cells, where), datasets: { cells }, rows: rowsOf(cells) },
      ];
    };
    const each = found.flatMap((key, i): ChartChoice[] => {
      const values = JSON.parse(key) as string[];
      const label = values.map((value, axis) => `${map.names.others[axis]} ${value}`).join(', ');
      return choice(`at-${i}`, label, `, with ${label}`, point => combination(point) === key);
    });
    const label = `best over ${map.names.others.join(', ')}`;
    return [...choice('best', label, `, ${label}`, () => true), ...each];
  },
};
