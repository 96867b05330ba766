// The unrolled shape of a scenario as figures that a gate compares: no deployment, no run, no noise.
import type { FigureBlocks } from '../../scenarios/formats/comparison.ts';
import type { WorkflowShape } from '../shape.ts';

type Column = Pick<FigureBlocks, 'unit' | 'better'> & {
  readonly id: string;
  readonly label: string;
  of(shape: WorkflowShape): number | null;
};

/** A session of each workflow; more of any of these costs more, but for what a cache can keep. */
const COLUMNS: readonly Column[] = [
  { id: 'calls', label: 'calls', unit: 'count', better: 'lower', of: shape => shape.callsMean },
  { id: 'calls.max', label: 'most calls', unit: 'count', better: 'lower', of: shape => shape.callsMax },
  { id: 'chain', label: 'calls in a row', unit: 'count', better: 'lower', of: shape => shape.chainCalls },
  { id: 'width', label: 'calls at once', unit: 'count', better: 'lower', of: shape => shape.widthMax },
  {
    id: 'prompt',
    label: 'prompt tokens',
    unit: 'count',
    better: 'lower',
    of: shape => shape.promptTokensMean,
  },
  {
    id: 'prompt.max',
    label: 'longest prompt',
    unit: 'count',
    better: 'lower',
    of: shape => shape.promptTokensMax,
  },
  {
    id: 'output',
    label: 'output tokens',
    unit: 'count',
    better: 'lower',
    of: shape => shape.outputTokensMean,
  },
  {
    id: 'cacheable',
    label: 'cacheable share',
    unit: 'ratio',
    better: 'higher',
    of: shape => shape.cacheableRatio,
  },
  { id: 'usd', label: 'price', unit: 'usd', better: 'lower', of: shape => shape.usdCached },
];

export const shapeFigures = (shapes: readonly WorkflowShape[]): FigureBlocks[] =>
  shapes.flatMap(shape =>
    COLUMNS.map(({ id, label, unit, better, of }) => ({
      id: `${shape.workflow}/${id}`,
      label: `${shape.workflow}: ${label}`,
      unit,
      better,
      isPrimary: true,
      values: [of(shape)],
    })),
  );
