// Run by hand: fits the factors anew and prints them, for engines/steps/factors.ts.
//
//   node lab/fidelity/refit.ts ../shared/data/ground-truth/experiments [rounds]
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FITTED } from '../../engines/steps/factors.ts';
import { clockOf, FRONT_END } from '../backtest/defaults.ts';
import { readExperiment, readMeasured } from '../backtest/experiment.ts';
import { runsOf } from './cross-validate.ts';
import { flatten, linearise, solve, tableOf } from './fit.ts';
import { predictorOf } from './predictor.ts';
import { PRIOR_VALUES, RIDGE, SPREAD_VALUES } from './prior.ts';

const [folder = '', rounds = '3'] = process.argv.slice(2);
const scored = readdirSync(folder)
  .filter(name => name.endsWith('.json'))
  .sort()
  .map(name => JSON.parse(readFileSync(join(folder, name), 'utf8')))
  .map(json => ({ experiment: readExperiment(json), measured: readMeasured(json) }));
const predictAll = predictorOf(
  scored.map(each => each.experiment),
  ({ family }) => FRONT_END[clockOf(family)],
);
let table = tableOf(FITTED, PRIOR_VALUES);
for (let round = 0; round < Number(rounds); round++) {
  const rows = linearise(runsOf(scored), table, predictAll);
  const options = { prior: PRIOR_VALUES, spread: SPREAD_VALUES, ridge: RIDGE };
  table = tableOf(table, solve(rows, flatten(table).values, options));
}
const { names, values } = flatten(table);
for (const [i, name] of names.entries()) console.log(`${name}: ${values[i]!.toPrecision(3)}`);
