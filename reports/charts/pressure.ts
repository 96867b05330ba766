// 429s, retries and our own refusals over time: when limits pressed, and for how long.
import type { PressurePoint, RunResult } from '../../scenarios/formats/result.ts';
import { plural, showCount, showMs } from '../numbers.ts';
import { type Chart, COUNT_LABEL, chartSpec, PALETTE, topLegend } from './chart.ts';
import { timeX, wholeRun } from './panels.ts';

const SERIES = [
  { key: 'refusals429', name: '429s of servers', colour: PALETTE.vermilion },
  { key: 'retries', name: 'retries', colour: PALETTE.blue },
  { key: 'refusedByUs', name: 'refused by the gateway', colour: PALETTE.purple },
] as const;

type SeriesKey = (typeof SERIES)[number]['key'];

const totalOf = (points: readonly PressurePoint[], key: SeriesKey): number =>
  points.reduce((sum, point) => sum + point[key], 0);

/** From the first to the last slice with a 429, ms; null: there was none. */
function span429Ms(points: readonly PressurePoint[]): number | null {
  const hit = points.filter(({ refusals429 }) => refusals429 > 0);
  const [first] = hit;
  const last = hit.at(-1);
  if (first === undefined || last === undefined) return null;
  return last.atMs - first.atMs + lengthMs(points);
}

const lengthMs = (points: readonly PressurePoint[]): number =>
  points.length < 2 ? 0 : points[1]!.atMs - points[0]!.atMs;

export const pressureChart: Chart<RunResult> = {
  id: 'pressure',
  howToRead:
    'How often, in each slice of the run, a server answered 429, the gateway tried again, or the gateway itself refused ' +
    'a call. Retries that follow 429s and end with them are patience; retries that grow beside them are a storm.',

  title({ pressure = [] }) {
    const refusals = totalOf(pressure, 'refusals429');
    const retries = `${showCount(totalOf(pressure, 'retries'))} retries`;
    const spanMs = span429Ms(pressure);
    if (spanMs === null) {
      const refused = totalOf(pressure, 'refusedByUs');
      return `No server answered 429; ${retries}, and ${plural(refused, 'refusal')} by the gateway`;
    }
    return `${plural(refusals, 'attempt')} got a 429, over ${showMs(spanMs)}; ${retries}`;
  },

  spec({ pressure = [], durationMs }) {
    if (pressure.length === 0) return { absent: 'no call was refused and none was tried again' };
    const series = SERIES.filter(({ key }) => totalOf(pressure, key) > 0);
    const rows = series.flatMap(({ key, name }) =>
      pressure.map(point => ({ name, atMs: point.atMs, count: point[key] })),
    );
    return chartSpec(
      { rows },
      {
        params: wholeRun(durationMs),
        height: 220,
        data: { name: 'rows' },
        mark: { type: 'line', interpolate: 'step-after', strokeWidth: 2, clip: true },
        encoding: {
          x: timeX(true),
          y: {
            field: 'count',
            type: 'quantitative',
            title: `in each ${showMs(lengthMs(pressure))}`,
            axis: { tickCount: 5, tickMinStep: 1, labelExpr: COUNT_LABEL },
          },
          color: {
            field: 'name',
            type: 'nominal',
            scale: { domain: series.map(({ name }) => name), range: series.map(({ colour }) => colour) },
            legend: topLegend({ symbolType: 'stroke', symbolStrokeWidth: 3 }),
          },
          tooltip: [
            { field: 'name', title: 'what' },
            { field: 'count', title: 'count' },
          ],
        },
      },
    );
  },

  table({ pressure = [] }) {
    return {
      columns: ['from (ms)', ...SERIES.map(({ name }) => name)],
      rows: pressure.map(point => [point.atMs, ...SERIES.map(({ key }) => point[key])]),
    };
  },
};
