// What points trade against one another: what they cost against the metric. Those that no other one beats in both are the
// front, numbered from the cheapest.
import type { SweepPoint, SweepResult } from '../../../scenarios/formats/sweep.ts';
import { type Chart, chartSpec, INK, PALETTE, PAPER } from '../../charts/chart.ts';
import { showRatio } from '../../numbers.ts';
import { metricAxis } from '../axis.ts';
import { failsAssertions, figureOf, thinned } from '../space.ts';
import { metricLabel, metricPhrase, pointName, showFigure } from '../words.ts';

/** Beaten points that are drawn. */
const POINTS_MAX = 1500;

/** Numbers nearer to each other than this would hide one another, px. */
const LABEL_PX = 17;
const [WIDTH_PX, HEIGHT_PX] = [560, 330];

interface Placed {
  number: number | null;
  name: string;
  x: number;
  y: number;
  xShown: string;
  yShown: string;
  state: string;
}

/** The front from the cheapest on. */
export function frontOf(sweep: SweepResult): SweepPoint[] {
  const cost = (point: SweepPoint): number => figureOf(point, sweep.cost) as number;
  return sweep.points.filter(({ isFront }) => isFront).sort((a, b) => cost(a) - cost(b) || a.index - b.index);
}

function placed(sweep: SweepResult): { front: Placed[]; beaten: Placed[] } {
  const { metric, cost, points, ranking } = sweep;
  const place = (point: SweepPoint, number: number | null): Placed[] => {
    const [x, y] = [figureOf(point, cost), figureOf(point, metric)];
    if (x === null || y === null) return [];
    return [
      {
        number,
        name: pointName(point, sweep),
        x,
        y,
        xShown: showFigure(cost, x),
        yShown: showFigure(metric, y),
        state: failsAssertions(point) ? 'an assertion fails' : 'holds',
      },
    ];
  };
  const beaten = ranking.filter(i => !points[i]!.isFront);
  return {
    front: frontOf(sweep).flatMap((point, i) => place(point, i + 1)),
    beaten: thinned(beaten, POINTS_MAX, 0).flatMap(i => place(points[i]!, null)),
  };
}

export const pareto: Chart<SweepResult> = {
  id: 'pareto',
  howToRead:
    'Each mark is a point of the sweep: to the left it costs less. The numbered blue circles are the front: whoever wants ' +
    'more of the one has to give up some of the other. Grey marks are beaten in both by some point; a cross: an assertion ' +
    'fails there with at least one seed, so that it is no choice. Small blue circles have no room for their number; the table has the settings of all.',

  title(sweep) {
    const { front } = placed(sweep);
    const [cheapest, dearest] = [front[0], front.at(-1)];
    if (cheapest === undefined || dearest === undefined) return 'Cost against the metric';
    const { metric, cost, points } = sweep;
    if (front.length === 1)
      return `One point is both the cheapest and the best: ${cheapest.name}, with ${metricPhrase(metric, cheapest.y)} at ${metricPhrase(cost, cheapest.x)}`;
    const gained = `from ${cheapest.yShown} at ${cheapest.xShown} to ${dearest.yShown} at ${dearest.xShown}`;
    return `${front.length} of ${points.length} points (${showRatio(front.length / points.length)}) are on the front: ${metricLabel(metric)} goes ${gained}`;
  },

  spec(sweep) {
    const { metric, cost } = sweep;
    if (metric === cost) return { absent: 'the metric is the cost itself; name another with --metric' };
    const { front, beaten } = placed(sweep);
    if (front.length === 0) return { absent: 'no point has both the metric and a cost' };
    const all = [...front, ...beaten];
    const [costAxis, ownAxis] = [
      metricAxis(
        cost,
        all.map(point => point.x),
      ),
      metricAxis(
        metric,
        all.map(point => point.y),
      ),
    ];
    const numbered: { point: Placed; left: number; top: number }[] = [];
    for (const point of front) {
      const [left, top] = [costAxis.shareOf(point.x) * WIDTH_PX, ownAxis.shareOf(point.y) * HEIGHT_PX];
      if (numbered.every(each => Math.hypot(each.left - left, each.top - top) > LABEL_PX))
        numbered.push({ point, left, top });
    }
    const axisOf = (field: 'x' | 'y', { title, scale, axis }: typeof costAxis) => {
      const own = {
        tickCount: 5,
        ...(field === 'x' ? { grid: false, labelOverlap: 'greedy' } : {}),
        ...axis,
      };
      return { field, type: 'quantitative', title, scale, axis: own };
    };
    const [x, y] = [axisOf('x', costAxis), axisOf('y', ownAxis)];
    const tooltip = [
      { field: 'name', title: 'point' },
      { field: 'yShown', title: metricLabel(metric) },
      { field: 'xShown', title: metricLabel(cost) },
      ...(sweep.assertions > 0 ? [{ field: 'state', title: 'assertions' }] : []),
    ];
    return chartSpec(
      { front, beaten, numbered: numbered.map(({ point }) => point) },
      {
        height: 330,
        layer: [
          {
            data: { name: 'beaten' },
            mark: { type: 'point', size: 46, strokeWidth: 1.5, opacity: 0.5, color: PALETTE.grey },
            encoding: {
              x,
              y,
              shape: {
                field: 'state',
                type: 'nominal',
                scale: { domain: ['holds', 'an assertion fails'], range: ['circle', 'cross'] },
                legend: null,
              },
              tooltip,
            },
          },
          {
            data: { name: 'front' },
            mark: { type: 'line', color: PALETTE.blue, strokeWidth: 1.5, strokeDash: [4, 3] },
            encoding: { x, y, order: { field: 'x', type: 'quantitative' } },
          },
          {
            data: { name: 'front' },
            mark: { type: 'circle', size: 70, opacity: 1, color: PALETTE.blue },
            encoding: { x, y, tooltip },
          },
          {
            data: { name: 'numbered' },
            mark: {
              type: 'circle',
              size: 260,
              opacity: 1,
              color: PALETTE.blue,
              stroke: PAPER,
              strokeWidth: 1,
            },
            encoding: { x, y, tooltip },
          },
          {
            data: { name: 'numbered' },
            mark: { type: 'text', fontSize: 10, fontWeight: 'bold', color: '#ffffff' },
            encoding: { x, y, text: { field: 'number' } },
          },
          {
            data: { name: 'front' },
            transform: [{ filter: "datum.state !== 'holds'" }],
            mark: { type: 'text', dx: 14, text: '✗', fontSize: 11, color: INK },
            encoding: { x, y },
          },
        ],
      },
    );
  },

  table(sweep) {
    const { front, beaten } = placed(sweep);
    return {
      columns: ['number', 'point', metricLabel(sweep.metric), metricLabel(sweep.cost), 'assertions'],
      rows: [...front, ...beaten].map(({ number, name, x, y, state }) => [number, name, y, x, state]),
    };
  },
};
