import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readExperiment, readMeasured } from '../../../lab/backtest/experiment.ts';
import { crossValidate, type Scored } from '../../../lab/fidelity/cross-validate.ts';

const folder = new URL('../../../../shared/data/ground-truth/experiments/', import.meta.url);
const frontEndOf = () => ({ beforeMs: 3, beforeMsPerToken: 0.002, afterMs: 3.5 });

/** Two models on H200 and one on B200, short closed loops. */
const chosen = /h200-(gpt-oss-120b-fp4-tp4-1024|minimax-m2-5-fp8-tp4-1024)|b200-llama-3-1-70b-fp8-tp2-1024/;

/** `slower`: what was measured of models of this name, times two fifths more. */
function read(slower?: RegExp): Scored[] {
  return readdirSync(folder)
    .filter(name => chosen.test(name))
    .map(name => JSON.parse(readFileSync(new URL(name, folder), 'utf8')))
    .map(json => ({ experiment: readExperiment(json), measured: readMeasured(json) }))
    .map(({ experiment, measured }) => {
      const times = slower?.test(experiment.model.name) ? 1.4 : 1;
      const scaled = measured.map(each => {
        const { ttft_mean_ms = 0, tpot_mean_ms = 0 } = each.metrics;
        return {
          ...each,
          metrics: { ttft_mean_ms: ttft_mean_ms * times, tpot_mean_ms: tpot_mean_ms * times },
        };
      });
      return { experiment, measured: scaled };
    });
}

describe.skipIf(!existsSync(folder))(
  'cross-validation on measured runs (../shared/data/ground-truth)',
  () => {
    it('predicts a model from the others alone: what was measured of it changes nothing', () => {
      const before = crossValidate(read(), 'model', { frontEndOf });
      const after = crossValidate(read(/MiniMax/), 'model', { frontEndOf });
      const runs = Object.keys(before.predictions);
      const [own, others] = [runs.filter(id => /minimax/.test(id)), runs.filter(id => !/minimax/.test(id))];
      expect(own.length).toBeGreaterThan(3);
      for (const id of own) expect(after.predictions[id]).toEqual(before.predictions[id]);
      expect(
        others.some(id => after.predictions[id]!.tpot_mean_ms !== before.predictions[id]!.tpot_mean_ms),
      ).toBe(true);
    });

    it('names what was left out, each experiment in one fold', () => {
      const told: string[] = [];
      const scored = read();
      const { folds } = crossValidate(scored, 'hardware', { frontEndOf, onFold: left => told.push(left) });
      expect(folds.map(({ left }) => left)).toEqual(['blackwell', 'hopper']);
      expect(told).toEqual(['blackwell', 'hopper']);
      expect(folds.reduce((sum, { experiments }) => sum + experiments, 0)).toBe(scored.length);
    });
  },
);
