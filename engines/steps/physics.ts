// Step time of any model on any GPU of the catalogue: the terms of operator-work.ts times the factors of factors.ts.
// Quantised once to whole units (ns/1024); from then on whole numbers only.
import type { InputPath, Issue } from '../../scenarios/base/issue.ts';
import { toUnits, unitsToNs } from '../affine.ts';
import { unknownFigure } from '../catalog.ts';
import type { StepLoad, StepModel } from '../engine.ts';
import type { PlacedSetup } from '../memory.ts';
import { type FactorTable, FITTED, factorsOf } from './factors.ts';
import {
  CAPTURED_TOKENS,
  type ExpertWork,
  type OperatorWork,
  operatorWork,
  type Projection,
  type Terms,
} from './operator-work.ts';
import { evidenceLine, evidenceOf } from './tried.ts';

export interface PhysicsResult {
  step: StepModel | null;
  /** Priors that this pool rests on. */
  notes: string[];
  issues: Issue[];
}

/** The step model of `setup`; issues name the catalogue's missing figures. */
export function physics(setup: PlacedSetup, path: InputPath, table: FactorTable = FITTED): PhysicsResult {
  const { model, gpu, tensorParallel } = setup;
  const work = operatorWork(setup);
  if ('missing' in work) {
    const { of, missing } = work;
    const instead = 'give `step: { model: affine, … }`';
    const id = of === 'model' ? model.id : gpu.id;
    const found = unknownFigure([...path, of], id, missing, 'the roofline step', instead);
    return { step: null, notes: [], issues: [found] };
  }
  const { factors, note } = factorsOf(gpu, table);
  const notes = note === null ? [] : [note];
  if (tensorParallel > 1 && !/NVLink|xGMI/.test(gpu.scaleUpName ?? ''))
    notes.push(`tensor parallel over ${gpu.scaleUpName}: no run without NVLink was in the fit`);
  const step = price(work, factors, setup.asyncScheduling === false);
  const told = { name: 'roofline', evidence: evidenceLine(setup), trust: evidenceOf(setup) };
  return { step: { ...told, ...step }, notes, issues: [] };
}

/** Whole units of a projection by tokens: the greater of reading and computing, and what of the lesser does not hide. */
function projectionUnits({ readSec, secPerToken, notHidden }: Projection, factor: number) {
  const read = toUnits(readSec * factor);
  const perToken = toUnits(secPerToken * factor);
  const readNotHidden = Math.round(read * notHidden);
  const perTokenNotHidden = Math.round(perToken * notHidden);
  return (tokens: number): number =>
    Math.max(read + perTokenNotHidden * tokens, perToken * tokens + readNotHidden);
}

/** Whole units of the experts by tokens: the same, but what is read depends on the experts that are touched. */
function expertUnits({ readSec, computeSecPerToken, notHidden }: ExpertWork, factors: Terms) {
  const read = readSec.map(sec => toUnits(sec * factors.experts));
  const readNotHidden = read.map(units => Math.round(units * notHidden));
  const perToken = toUnits(computeSecPerToken * factors.expertCompute);
  const perTokenNotHidden = Math.round(perToken * notHidden);
  const allTouched = read.length - 1;
  return (tokens: number): number => {
    const row = tokens < allTouched ? tokens : allTouched;
    return Math.max(read[row]! + perTokenNotHidden * tokens, perToken * tokens + readNotHidden[row]!);
  };
}

/** The work at these factors. `idle`: the GPU waits while the next step is scheduled. */
export function price(
  work: OperatorWork,
  factors: Terms,
  idle: boolean,
): Pick<StepModel, 'stepNs' | 'decodeLine'> {
  const dense = projectionUnits(work.dense, factors.dense);
  const head = projectionUnits(work.head, factors.head);
  const experts = expertUnits(work.experts, factors);
  const perToken =
    toUnits(work.experts.trafficSecPerToken * factors.expertTraffic) +
    toUnits(work.activationSecPerToken * factors.activations) +
    toUnits(work.collectiveSecPerToken * factors.collectiveBytes);
  const perContextToken = toUnits(work.kvSecPerToken * factors.kvRead);
  const perPair = toUnits(work.attentionSecPerPair * factors.attention);
  const perSequence = toUnits(factors.sequence + (idle ? factors.idleSequence : 0));
  const layerSec =
    work.layers * factors.layer +
    work.moeLayers * factors.moeLayer +
    work.quantisedMoeLayers * factors.quantisedMoeLayer;
  const captured = work.collectives * factors.collective;
  const eager = work.collectives * factors.eagerCollective;
  const fixed = toUnits(layerSec + captured + factors.step + (idle ? factors.idleStep : 0));
  const prompt = toUnits(
    work.layers * factors.promptLayer + factors.prompt + (idle ? factors.idlePrompt : 0),
  );
  const beyondGraphs = toUnits(eager) - toUnits(captured);
  /** Of a step without prompts, beside attention. */
  const besideAttention = (tokens: number, sequences: number, samples: number): number =>
    fixed + dense(tokens) + head(samples) + experts(tokens) + perToken * tokens + perSequence * sequences;
  return {
    /** Hot: once per engine step. */
    stepNs(load: StepLoad): number {
      const tokens = load.decodes + load.prefillTokens;
      const attention =
        perContextToken * (load.decodeContextTokens + load.prefillContextTokens) +
        perPair * load.prefillPairs;
      const rest = besideAttention(tokens, load.decodes + load.prefills, load.samples);
      if (load.prefills === 0) return unitsToNs(rest + attention);
      return unitsToNs(rest + attention + prompt + (tokens > CAPTURED_TOKENS ? beyondGraphs : 0));
    },
    decodeLine: decodes => ({
      interceptUnits: besideAttention(decodes, decodes, decodes),
      slopeUnits: perContextToken,
      untilContextTokens: Number.POSITIVE_INFINITY,
    }),
  };
}
