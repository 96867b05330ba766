// Run by hand: draws predicted against measured, a point for each run, for docs/fidelity.md.
//
//   windtunnel backtest MEASURED --cross-validate model --out predictions.json
//   node lab/fidelity/charts.ts MEASURED/experiments predictions.json docs
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChartSpec, PALETTE } from '../../reports/charts/chart.ts';
import { toSvg } from '../../reports/render.ts';
import { type Metric, type Metrics, readExperiment, readMeasured } from '../backtest/experiment.ts';
import { runsOf } from './cross-validate.ts';

interface Point {
  family: string;
  measured: number;
  predicted: number;
}

const COLOURS: Readonly<Record<string, string>> = {
  'blis-inference-perf': PALETTE.blue,
  'blis-guidellm-traces': PALETTE.sky,
  'inferencex-closed-loop': PALETTE.orange,
  'llmservingsim-bench': PALETTE.vermilion,
};

function scatter(points: readonly Point[], what: string): ChartSpec {
  const all = points.flatMap(({ measured, predicted }) => [measured, predicted]);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const scale = { type: 'log', domain: [low * 0.9, high * 1.1], nice: false };
  const axis = (field: string) => ({ field, type: 'quantitative', scale, title: `${field} ${what}, ms` });
  const colour = { domain: Object.keys(COLOURS), range: Object.values(COLOURS) };
  return {
    datasets: {
      points,
      same: [
        { measured: low, predicted: low },
        { measured: high, predicted: high },
      ],
    },
    width: 440,
    height: 440,
    layer: [
      {
        data: { name: 'same' },
        mark: { type: 'line', color: PALETTE.grey, strokeDash: [4, 4] },
        encoding: { x: axis('measured'), y: axis('predicted') },
      },
      {
        data: { name: 'points' },
        mark: { type: 'point', filled: true, size: 22, opacity: 0.6 },
        encoding: {
          x: axis('measured'),
          y: axis('predicted'),
          color: {
            field: 'family',
            type: 'nominal',
            scale: colour,
            title: null,
            legend: { orient: 'bottom', columns: 2, labelLimit: 200 },
          },
        },
      },
    ],
  };
}

const [folder = '', predictionsFile = '', out = ''] = process.argv.slice(2);
const predictions: Readonly<Record<string, Metrics>> = JSON.parse(readFileSync(predictionsFile, 'utf8'));
const scored = readdirSync(folder)
  .filter(name => name.endsWith('.json'))
  .sort()
  .map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')))
  .map(json => ({ experiment: readExperiment(json), measured: readMeasured(json) }));
const drawn: readonly [Metric, string][] = [
  ['tpot_mean_ms', 'TPOT'],
  ['ttft_mean_ms', 'TTFT'],
];
for (const [metric, what] of drawn) {
  const points = runsOf(scored).flatMap(({ runId, group, metrics }): Point[] => {
    const measured = metrics[metric];
    const predicted = predictions[runId]?.[metric];
    return measured === undefined || predicted === undefined
      ? []
      : [{ family: group.split('|')[0]!, measured, predicted }];
  });
  writeFileSync(join(out, `fidelity-${what.toLowerCase()}.svg`), await toSvg(scatter(points, what), 440));
}
