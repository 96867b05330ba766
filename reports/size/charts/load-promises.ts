// Promises against load: how much of each is used up as the traffic grows, until one breaks.
import { type Chart, logTicks } from '../../charts/chart.ts';
import { type Line, linesSpec } from '../../charts/lines.ts';
import { showNumber, showRatio } from '../../numbers.ts';
import { withMarks } from './marks.ts';

export interface LoadPromises {
  readonly promises: readonly string[];
  readonly points: readonly {
    /** Times today's traffic. */
    readonly loadRatio: number;
    readonly workflowsPerHour: number;
    /** Of each promise: 1 at its target, more where it is broken; null: nothing of the kind ran. */
    readonly used: readonly (number | null)[];
  }[];
  /** Most traffic that breaks none, times today's; 0: none does. */
  readonly heldRatio: number;
  readonly brokenFirst: string | null;
}

/** Promises that are nearer than the others. */
const DRAWN = 4;

const mostUsed = ({ points }: LoadPromises, promise: number): number =>
  Math.max(0, ...points.map(({ used }) => used[promise] ?? 0));

export const loadPromisesChart: Chart<LoadPromises> = {
  id: 'size-max-load',
  howToRead:
    'To the right more traffic comes, in multiples of today’s. Each line is one promise: how much of it is used up, 1 at its ' +
    'target; above the dotted line it is broken. For a promise such as a cache hit share, which must not fall, it is the ' +
    'target over what is reached. The room between today and where the first line crosses is the headroom.',

  title({ heldRatio, brokenFirst }) {
    if (heldRatio === 0) return `${brokenFirst ?? 'A promise'} is broken at every load that was tried`;
    if (brokenFirst === null) return `No promise breaks up to ${showNumber(heldRatio)} times today’s traffic`;
    return heldRatio < 1
      ? `Only ${showRatio(heldRatio)} of today’s traffic is held: beyond, ${brokenFirst} breaks`
      : `${brokenFirst} breaks first, beyond ${showNumber(heldRatio)} times today’s traffic`;
  },

  spec(data) {
    const { promises, points, heldRatio } = data;
    const drawn = promises
      .map((name, promise) => ({ name, promise, most: mostUsed(data, promise) }))
      .filter(({ most }) => most > 0)
      .sort((a, b) => b.most - a.most)
      .slice(0, DRAWN);
    if (points.length < 2 || drawn.length === 0)
      return { absent: 'one load is no curve: nothing was tried beside today’s traffic' };
    const lines = drawn.map(
      ({ name, promise }): Line => ({
        name,
        points: points.map(({ loadRatio, used }) => {
          const y = used[promise] ?? null;
          return { x: loadRatio, y: y !== null && y > 0 ? y : null };
        }),
      }),
    );
    const values = [1, ...lines.flatMap(line => line.points.flatMap(({ y }) => y ?? []))];
    const range = [Math.min(...values) / 1.2, Math.max(...values) * 1.2];
    const loads = points.map(({ loadRatio }) => loadRatio);
    return withMarks(
      linesSpec(lines, {
        x: {
          title: 'times today’s traffic',
          scale: { type: 'log' },
          axis: { values: logTicks([Math.min(...loads), Math.max(...loads)]), format: ',.12~g' },
        },
        y: {
          title: 'of the promise',
          scale: { type: 'log', nice: false, domain: range },
          axis: { values: logTicks(range), format: '~%' },
          format: '.3~%',
        },
        rules: [{ y: 1, label: 'broken above' }],
      }),
      [
        { x: 1, label: 'today', side: heldRatio >= 1 ? 'right' : 'left' },
        ...(heldRatio > 0 && Math.abs(heldRatio - 1) > 0.05
          ? [{ x: heldRatio, label: `holds ${showNumber(heldRatio)}x`, side: 'left' as const }]
          : []),
      ],
    );
  },

  table({ promises, points }) {
    return {
      columns: ['times today’s traffic', 'workflows/h', ...promises.map(name => `${name} (of the promise)`)],
      rows: points.map(({ loadRatio, workflowsPerHour, used }) => [loadRatio, workflowsPerHour, ...used]),
    };
  },
};
