// What each difference between two simulated runs did: undone alone in the candidate, with the same seeds.
import { knownBlocks } from '../../reports/compare/figures.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import type { ExplainedDifference, FigureBlocks } from '../../scenarios/formats/comparison.ts';
import { differencesOf } from './differences.ts';
import { type Side, simulated } from './side.ts';

interface ExplainHow {
  readonly jobs: number | undefined;
  readonly onDifference?: ((where: string) => void) | undefined;
  readonly isStopped?: (() => boolean) | undefined;
}

const meanOf = (figures: readonly FigureBlocks[], id: string): number | null => {
  const figure = figures.find(each => each.id === id);
  const known = figure === undefined ? [] : knownBlocks(figure);
  return known.length === 0 ? null : mean(known);
};

type Effects = ExplainedDifference['effects'];

/** Of each primary figure, how much of the baseline lies between two sides. */
function effectsOf(base: Side, candidate: Side, undone: Side): Effects {
  return base.figures
    .filter(({ isPrimary }) => isPrimary)
    .map(({ id }) => {
      const [of, from, to] = [base, undone, candidate].map(({ figures }) => meanOf(figures, id));
      const isKnown = of != null && of !== 0 && from != null && to != null;
      return { id, changeRatio: isKnown ? (to - from) / of : null };
    });
}

const sizeOf = ({ effects }: ExplainedDifference): number =>
  Math.max(0, ...effects.map(({ changeRatio }) => Math.abs(changeRatio ?? 0)));

/** Under this share of the baseline, a rest is rounding. */
const REST_MIN = 0.001;

/** What is left when all effects are taken from the whole change: differences that act together. */
function restOf(base: Side, candidate: Side, found: readonly ExplainedDifference[]): ExplainedDifference[] {
  if (found.length < 2 || found.some(({ problem }) => problem !== null)) return [];
  const effects = effectsOf(base, candidate, base).map(({ id, changeRatio }) => {
    const parts = found.map(each => each.effects.find(effect => effect.id === id)?.changeRatio ?? null);
    const sum = parts.reduce<number>((total, part) => total + (part ?? 0), 0);
    return { id, changeRatio: changeRatio === null || parts.includes(null) ? null : changeRatio - sum };
  });
  const rest: ExplainedDifference = {
    where: 'the rest: differences that act together',
    baseline: '',
    candidate: '',
    effects,
    problem: null,
  };
  return sizeOf(rest) < REST_MIN ? [] : [rest];
}

/** Both sides simulated with the same seeds; the largest effect first. */
export async function explained(
  base: Side,
  candidate: Side,
  { jobs, onDifference = () => {}, isStopped = () => false }: ExplainHow,
): Promise<ExplainedDifference[]> {
  if (base.inputs === null || candidate.inputs === null) return [];
  const differences = differencesOf(base.inputs, candidate.inputs);
  const telling = differences.filter(({ part }) => part !== 'seed');
  const found: ExplainedDifference[] = [];
  for (const { where, part, baseline, candidate: now, undone } of differences) {
    const named = { where, baseline, candidate: now };
    if (part === 'seed') {
      const effects = effectsOf(base, candidate, candidate);
      found.push({ ...named, effects, problem: 'both sides are simulated with the same seeds' });
      continue;
    }
    if (isStopped()) break;
    onDifference(where);
    // One difference alone is the whole change.
    const inputs = undone(candidate.inputs);
    const without =
      telling.length === 1
        ? base
        : await simulated({ ...candidate, inputs }, candidate.blocks, jobs).catch((error: unknown) => {
            if (error instanceof UserError) return error;
            throw error;
          });
    const isSide = !(without instanceof UserError);
    found.push({
      ...named,
      effects: isSide ? effectsOf(base, candidate, without) : [],
      problem: isSide ? null : without.message,
    });
  }
  const real = found.filter(({ problem }) => problem === null || !problem.startsWith('both sides'));
  return [...found.toSorted((a, b) => sizeOf(b) - sizeOf(a)), ...restOf(base, candidate, real)];
}
