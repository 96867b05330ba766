// Runs held against a baseline run.
//
//   1. may they be compared?   2. the same run?   3. make simulations again, with common seeds   4. judge each figure
//   5. where they part, and why
import { figuresOver, PRIMARY_FIGURES } from '../../reports/compare/figures.ts';
import {
  DEFAULT_BLOCKS,
  judgeFigures,
  judgeLive,
  MIN_EFFECT_RATIO,
  overallVerdict,
} from '../../reports/compare/judge.ts';
import { headlineOf } from '../../reports/compare/words.ts';
import { showRatio, showSignedRatio } from '../../reports/numbers.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { version } from '../../scenarios/cli/version.ts';
import {
  COMPARISON_SCHEMA_VERSION,
  type ComparisonResult,
  type FigureBlocks,
  type Pairing,
  type RunComparison,
} from '../../scenarios/formats/comparison.ts';
import { seedsFrom } from '../grid/seeds.ts';
import { differencesOf } from './differences.ts';
import { explained } from './explain.ts';
import { firstDifference } from './first-difference.ts';
import { type Side, sideOfRun, simulated } from './side.ts';

export interface CompareOptions {
  /** Simulations of each side [10]; a baseline's own seeds go before it. */
  readonly seeds?: number | undefined;
  /** Ids of the figures that decide [PRIMARY_FIGURES]. */
  readonly primary?: readonly string[] | undefined;
  /** A change under this share is none [0.01 simulated, 0.05 live]. */
  readonly minEffectRatio?: number | undefined;
  /** Scenarios of different names may be compared. */
  readonly allowDifferent?: boolean | undefined;
  /** Live sides whose blocks took turns. */
  readonly isInterleaved?: boolean | undefined;
  /** Look for the first difference of two simulations [true]. */
  readonly firstDifference?: boolean | undefined;
  /** Undo each difference of the inputs alone. */
  readonly explain?: boolean | undefined;
  /** Threads [one a core]. */
  readonly jobs?: number | undefined;
  /** Told what is being done. */
  readonly onProgress?: ((text: string) => void) | undefined;
  /** Asked now and then; true ends it early, with the seeds that there are. */
  readonly isStopped?: (() => boolean) | undefined;
}

/** Paths are run folders; the baseline first. */
export async function compareRuns(
  base: Side | string,
  candidates: readonly (Side | string)[],
  options: CompareOptions = {},
): Promise<ComparisonResult> {
  if (candidates.length === 0) {
    throw new UserError('one run alone is compared with nothing', {
      hint: 'name the baseline first, then what is held against it: windtunnel compare BASELINE RUN…',
    });
  }
  const sideOf = (side: Side | string) => (typeof side === 'string' ? sideOfRun(side) : side);
  const [first, ...others] = withNames(
    await Promise.all([base, ...candidates].map(sideOf)),
    [base, ...candidates].map(each => (typeof each === 'string' ? each : null)),
  );
  let baseline = first!;
  const comparisons: RunComparison[] = [];
  const runs = [];
  for (const candidate of others) {
    const compared = await compare(baseline, candidate, options);
    // Simulated once for all.
    baseline = compared.base;
    comparisons.push(compared.comparison);
    runs.push(compared.candidate.result);
  }
  return {
    schemaVersion: COMPARISON_SCHEMA_VERSION,
    kind: 'comparison',
    baselineName: baseline.name,
    runs: [baseline.result, ...runs].filter(run => run !== null),
    comparisons,
    gate: null,
  };
}

/** One candidate against one baseline. */
export const compareSides = async (
  base: Side,
  candidate: Side,
  options: CompareOptions = {},
): Promise<RunComparison> => (await compare(base, candidate, options)).comparison;

/** Two folders of the same name are told apart by their paths. */
function withNames(sides: readonly Side[], paths: readonly (string | null)[]): Side[] {
  const names = sides.map(({ name }) => name);
  return sides.map((side, i) => {
    const isAlone = names.filter(name => name === side.name).length === 1;
    return isAlone ? side : { ...side, name: paths[i] ?? `${side.name} (${i + 1})` };
  });
}

interface Compared {
  readonly base: Side;
  readonly candidate: Side;
  readonly comparison: RunComparison;
}

async function compare(base: Side, candidate: Side, options: CompareOptions): Promise<Compared> {
  // 1.
  const warnings = [...checkPair(base, candidate, options), ...invalidWarnings(base, candidate)];
  // 2.
  if (isSameRun(base, candidate)) return identical(base, candidate, options, warnings);
  // 3.
  const sides =
    base.world === 'live'
      ? { base, candidate, pairing: options.isInterleaved ? ('interleaved' as const) : ('apart' as const) }
      : await simulations(base, candidate, options, warnings);
  if (sides.pairing === 'apart') warnings.push(...apartWarnings(base, candidate));
  // 4.
  const compared = judged(sides, options, warnings);
  // 5.
  if (base.world === 'live' || base.inputs === null || candidate.inputs === null) return compared;
  const where = options.firstDifference === false ? null : await parting(sides, options);
  const why = options.explain === true ? await reasons(sides, options) : null;
  return { ...compared, comparison: { ...compared.comparison, firstDifference: where, explained: why } };
}

/** Warnings of a pair that may be compared; of one that may not, a UserError. */
function checkPair(base: Side, candidate: Side, { allowDifferent = false }: CompareOptions): string[] {
  if (base.world !== candidate.world) {
    throw new UserError(`${base.name} is ${worldOf(base)}, ${candidate.name} is ${worldOf(candidate)}`, {
      hint: 'a simulation is held against live runs by `windtunnel validate SCENARIO -d DEPLOYMENT`',
    });
  }
  const [one, other] = [scenarioOf(base), scenarioOf(candidate)];
  const differing =
    base.inputs === null || candidate.inputs === null
      ? []
      : differencesOf(base.inputs, candidate.inputs).filter(({ part }) => part === 'scenario');
  const left = differing.length > 4 ? `, and ${differing.length - 4} more` : '';
  const keys = differing.slice(0, 4).map(({ where }) => where.replace('scenario: ', ''));
  if (one !== null && other !== null && one !== other && !allowDifferent) {
    const where = keys.length === 0 ? '' : `; they differ in ${keys.join(', ')}${left}`;
    throw new UserError(`${base.name} ran the scenario "${one}", ${candidate.name} ran "${other}"${where}`, {
      hint: 'compare runs of one scenario, or say --allow-different',
    });
  }
  if (differing.length === 0) return [];
  const changes = differing
    .slice(0, 4)
    .map(({ baseline, candidate: now }, i) => `${keys[i]} (${baseline}, now ${now})`);
  return [`the scenario differs as well, so this is not the same work: ${changes.join(', ')}${left}`];
}

const worldOf = ({ world }: Side): string => (world === 'sim' ? 'simulated' : 'live');

const scenarioOf = ({ inputs, result }: Side): string | null =>
  inputs?.scenario.name ?? result?.header.scenario.name ?? null;

const invalidWarnings = (...sides: readonly Side[]): string[] =>
  sides
    .filter(({ result }) => result?.verdict.status === 'invalid')
    .map(({ name, result }) => `${name} is not valid: ${result!.verdict.headline}`);

/** Equal records of equal inputs. Others may happen to agree for one seed, and cost may differ where nothing else does. */
function isSameRun(base: Side, candidate: Side): boolean {
  if (base.digest === null || base.digest !== candidate.digest) return false;
  if (base.inputs !== null && candidate.inputs !== null)
    return differencesOf(base.inputs, candidate.inputs).length === 0;
  return base.result?.cost?.totalUsd === candidate.result?.cost?.totalUsd;
}

function identical(base: Side, candidate: Side, options: CompareOptions, warnings: string[]): Compared {
  const { result } = base.result === null ? candidate : base;
  const own = base.figures.length > 0 ? base.figures : figuresOver(result === null ? [] : [result]);
  const same = { ...base, figures: own };
  const sides = { base: same, candidate: { ...candidate, figures: own }, pairing: 'identical' as const };
  const { comparison } = judged(sides, options, warnings);
  return { base, candidate, comparison };
}

interface Sides {
  readonly base: Side;
  readonly candidate: Side;
  readonly pairing: Pairing;
}

/** Both sides by this version, with the same seeds. */
async function simulations(
  base: Side,
  candidate: Side,
  { seeds: count = DEFAULT_BLOCKS, jobs, onProgress = () => {}, isStopped }: CompareOptions,
  warnings: string[],
): Promise<Sides> {
  if (isFixed(base) || isFixed(candidate)) return storedRuns(base, candidate);
  const first = base.blocks[0] ?? base.inputs?.seed ?? 1;
  const seeds = base.blocks.length > 0 ? base.blocks : seedsFrom(first, count);
  const again = async (side: Side, wanted: readonly (number | string)[]): Promise<Side> => {
    const isThere = side.toolVersion === version && wanted.every(seed => side.blocks.includes(seed));
    if (isThere) return side;
    const onDone = (done: number): void =>
      onProgress(`${side.name}: ${done} of ${wanted.length} simulations`);
    const made = await simulated(side, wanted, jobs, { onDone, ...(isStopped && { isStopped }) });
    warnings.push(...movedWarnings(side, made));
    return made;
  };
  const made = await again(base, seeds);
  const other = await again(candidate, made.blocks);
  const common = made.blocks.filter(seed => other.blocks.includes(seed));
  if (common.length < made.blocks.length)
    warnings.push(`interrupted: only ${common.length} seeds were simulated`);
  const sides = [made, other].map(side => only(side, common));
  const [seedA, seedB] = [base, candidate].map(({ inputs }) => inputs?.seed);
  if (seedA !== undefined && seedB !== undefined && seedA !== seedB) {
    warnings.push(
      `the seeds differ (${seedA}, ${seedB}): both are simulated from seed ${common[0]}, so that luck is no part of it`,
    );
  }
  const isCertain = sides.every(
    ({ inputs, figures }) =>
      inputs?.scenario.kind !== 'scenario' || (common.length > 1 && figures.every(isConstant)),
  );
  return { base: sides[0]!, candidate: sides[1]!, pairing: isCertain ? 'exact' : 'seeds' };
}

const isConstant = ({ values }: FigureBlocks): boolean => values.every(value => value === values[0]);

/** The blocks that both sides have. */
const only = (side: Side, blocks: readonly (number | string)[]): Side => ({
  ...side,
  blocks,
  figures: side.figures.map(figure => ({
    ...figure,
    values: blocks.map(block => figure.values[side.blocks.indexOf(block)] ?? null),
  })),
});

/** A written plan or a selection of a trace: it has no seed, and cannot be made again of what was kept. */
const isFixed = ({ inputs }: Side): boolean => inputs !== null && inputs.scenario.problem !== null;

function storedRuns(base: Side, candidate: Side): Sides {
  const sides = [base, candidate].map((side): Side => {
    if (side.figures.length > 0 && side.blocks.length === 1) return side;
    const { result } = side;
    if (result === null) throw new UserError(`of ${side.name} no result was kept`, { hint: 'make it again' });
    return { ...side, blocks: [result.header.seed], figures: figuresOver([result]) };
  });
  const [one, other] = [base.toolVersion, candidate.toolVersion];
  if (one !== other) {
    const problem = base.inputs?.scenario.problem ?? candidate.inputs?.scenario.problem;
    throw new UserError(
      `${base.name} was made by version ${one} and ${candidate.name} by ${other}, and they cannot be made again: ${problem}`,
      { hint: 'make both with the same version, then compare' },
    );
  }
  return { base: sides[0]!, candidate: sides[1]!, pairing: 'exact' };
}

/** How far what was kept of a side is from what its inputs give now: never a part of the difference. */
function movedWarnings(stored: Side, made: Side): string[] {
  const before =
    stored.figures.length > 0 ? stored.figures : figuresOver(stored.result === null ? [] : [stored.result]);
  const blocks = stored.figures.length > 0 ? stored.blocks : [stored.result?.header.seed ?? null];
  const moved = before.flatMap(figure => {
    const now = made.figures.find(({ id }) => id === figure.id);
    const pairs = blocks.flatMap((block, i) => {
      const was = figure.values[i] ?? null;
      const is = block === null ? null : (now?.values[made.blocks.indexOf(block)] ?? null);
      return was === null || is === null || was === 0 ? [] : [is / was - 1];
    });
    if (pairs.length === 0) return [];
    const ratio = pairs.reduce((sum, each) => sum + each, 0) / pairs.length;
    return Math.abs(ratio) > 1e-9 ? [{ figure, ratio }] : [];
  });
  if (moved.length === 0) return [];
  const said = moved
    .toSorted((a, b) => Number(b.figure.isPrimary) - Number(a.figure.isPrimary))
    .slice(0, 3)
    .map(({ figure, ratio }) => `${figure.label} ${showSignedRatio(ratio)}`);
  const what =
    stored.toolVersion === version
      ? `what was kept of ${stored.name} is not what its inputs give now`
      : `the upgrade from ${stored.toolVersion} to ${version} itself moved ${stored.name}`;
  return [
    `${what} (${said.join(', ')}); both sides are simulated anew, so that this is no part of the difference`,
  ];
}

function apartWarnings(base: Side, candidate: Side): string[] {
  const few = [base, candidate].filter(({ blocks }) => blocks.length < 2).map(({ name }) => name);
  const tooFew =
    few.length === 0
      ? []
      : [
          `${few.join(' and ')} ${few.length === 1 ? 'has' : 'have'} too few sessions for slices of time: no interval`,
        ];
  return [
    'the runs were made one after the other, so what else changed between them is inside the difference; ' +
      '`windtunnel compare --scenario S -d A -d B --live` lets blocks take turns',
    ...tooFew,
  ];
}

function judged({ base, candidate, pairing }: Sides, options: CompareOptions, warnings: string[]): Compared {
  const { primary = PRIMARY_FIGURES, minEffectRatio = MIN_EFFECT_RATIO[base.world] } = options;
  const marked = (side: Side): Side => ({
    ...side,
    figures: side.figures.map(figure => ({ ...figure, isPrimary: primary.includes(figure.id) })),
  });
  const [one, other] = [marked(base), marked(candidate)];
  const figures =
    pairing === 'interleaved' || pairing === 'apart'
      ? judgeLive(one.figures, other.figures, { pairing, minEffectRatio })
      : judgeFigures(one.figures, other.figures, { pairing, minEffectRatio });
  for (const figure of figures) {
    if (!figure.isPrimary || figure.minEffectRatio === minEffectRatio) continue;
    const floor = showRatio(figure.minEffectRatio);
    warnings.push(
      `the baseline's own blocks differ by ${floor} in ${figure.label}: less is not told from noise`,
    );
  }
  const blocks = Math.min(one.blocks.length || 1, other.blocks.length || 1);
  const { name } = candidate;
  return {
    base,
    candidate,
    comparison: {
      name,
      pairing,
      blocks,
      figures,
      verdict: overallVerdict(figures),
      headline: headlineOf({ name, pairing, figures }, base.name),
      firstDifference: null,
      explained: null,
      warnings,
    },
  };
}

/** Of the first seed, where both sides ran the same plan. */
async function parting(
  { base, candidate }: Sides,
  { jobs, onProgress = () => {}, isStopped }: CompareOptions,
) {
  if (base.inputs === null || candidate.inputs === null || isFixed(base) || isFixed(candidate)) return null;
  const isOnePlan = differencesOf(base.inputs, candidate.inputs).every(({ part }) => part !== 'scenario');
  const [seed] = base.blocks;
  if (!isOnePlan || seed === undefined || base.digest === candidate.digest || isStopped?.() === true)
    return null;
  onProgress('looking for the first difference');
  return firstDifference(base.inputs, candidate.inputs, seed, jobs);
}

async function reasons(
  { base, candidate }: Sides,
  { jobs, onProgress, isStopped, primary = PRIMARY_FIGURES }: CompareOptions,
) {
  if (isFixed(base) || isFixed(candidate)) return null;
  const figures = base.figures.map(figure => ({ ...figure, isPrimary: primary.includes(figure.id) }));
  const onDifference = (where: string): void => onProgress?.(`undoing ${where}`);
  return explained({ ...base, figures }, candidate, { jobs, onDifference, isStopped });
}
