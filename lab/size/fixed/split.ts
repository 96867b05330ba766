// How a fleet may be divided: a combination says what each pool runs on, a split how many replicas each has. No split uses
// more GPUs than there are, and none leaves GPUs idle on which a replica of its pools fits.
import type { FleetKind } from '../../../scenarios/formats/size-fleet.ts';
import type { Candidate } from '../candidate.ts';
import { overridesOf, prefillReplicas, type Variant } from '../space.ts';
import type { PoolOption } from './options.ts';

export interface Combination {
  readonly name: string;
  /** One for each pool. */
  readonly options: readonly PoolOption[];
  readonly routing: string;
  readonly variant: Variant;
  /** No more can be held, whatever the split, times today's traffic; infinite where no work is known. */
  readonly boundRatio: number;
  /** Whether the work is all that comes, and not only the share of each pool. */
  readonly isBounded: boolean;
  /** Where a search begins: GPUs by the work that comes to each pool. */
  readonly start: Split;
}

/** Replicas of each pool. */
export type Split = readonly number[];

/** Both halves of a split pool need a replica. */
const leastOf = ({ group }: PoolOption): number => group.replicas.min;
const sizeOf = ({ group }: PoolOption): number => group.tensorParallel;

export const gpusOf = (options: readonly PoolOption[], split: Split): number[] =>
  split.map((replicas, i) => replicas * sizeOf(options[i]!));

/** GPUs of each kind that no replica has; negative: there are not so many. */
export const freeOf = (
  options: readonly PoolOption[],
  split: Split,
  fleet: readonly FleetKind[],
): FleetKind[] => {
  const used = gpusOf(options, split);
  return fleet.map(({ gpu, gpus }) => ({
    gpu,
    gpus: options.reduce((left, { group }, i) => (group.gpu === gpu ? left - used[i]! : left), gpus),
  }));
};

const fits = (options: readonly PoolOption[], split: Split, fleet: readonly FleetKind[]): boolean =>
  freeOf(options, split, fleet).every(({ gpus }) => gpus >= 0);

/** Gives what is free to the pools that are fullest, by work over replicas, as long as a replica fits. */
export function filled(
  options: readonly PoolOption[],
  split: Split,
  fleet: readonly FleetKind[],
  work: readonly number[] = options.map(option => option.work),
): Split {
  const replicas = [...split];
  const fullness = (i: number): number => work[i]! / replicas[i]!;
  const free = new Map(freeOf(options, split, fleet).map(({ gpu, gpus }) => [gpu, gpus]));
  for (;;) {
    let fullest = -1;
    for (const [i, option] of options.entries())
      if (
        sizeOf(option) <= (free.get(option.group.gpu) ?? 0) &&
        (fullest < 0 || fullness(i) > fullness(fullest))
      )
        fullest = i;
    if (fullest < 0) return replicas;
    const { group } = options[fullest]!;
    replicas[fullest]! += 1;
    free.set(group.gpu, free.get(group.gpu)! - group.tensorParallel);
  }
}

/** Null: its pools do not fit the fleet with a replica each. */
function startOf(options: readonly PoolOption[], fleet: readonly FleetKind[]): Split | null {
  const least = options.map(leastOf);
  return fits(options, least, fleet) ? filled(options, least, fleet) : null;
}

/** Traffic whose work each pool can do at most, times today's; infinite where that is not known. */
export const abilitiesOf = ({ options, isBounded }: Combination, split: Split): number[] =>
  options.map(({ work }, i) => (isBounded && work > 0 ? split[i]! / work : Number.POSITIVE_INFINITY));

/** The work of all pools of a kind on all its GPUs, were they divided without a rest; and a pool on all it could have. */
export function boundOf(options: readonly PoolOption[], fleet: readonly FleetKind[]): number {
  return fleet.reduce((least, { gpu, gpus }) => {
    const work = options
      .filter(({ group }) => group.gpu === gpu)
      .reduce((sum, option) => sum + option.work * sizeOf(option), 0);
    return work === 0 ? least : Math.min(least, gpus / work);
  }, Number.POSITIVE_INFINITY);
}

/** Beyond it a search by hand would not end. */
export const COMBINATIONS_MAX = 20_000;

export const countOf = (options: readonly (readonly PoolOption[])[], shared: number): number =>
  options.reduce((product, own) => product * own.length, shared);

/**
 * All that fit, most promising first. A router and what is varied are the same for all pools. `isBounded`: the work is all
 * that comes, so that GPUs over it bound what can be held.
 */
export function combinationsOf(
  options: readonly (readonly PoolOption[])[],
  fleet: readonly FleetKind[],
  isBounded: boolean,
): Combination[] {
  const sharedKey = ({ group: { routing, variant } }: PoolOption): string =>
    JSON.stringify([routing, variant.set]);
  let combined: PoolOption[][] = (options[0] ?? []).map(option => [option]);
  for (const own of options.slice(1)) {
    const byShared = Map.groupBy(own, sharedKey);
    combined = combined.flatMap(before =>
      (byShared.get(sharedKey(before[0]!)) ?? []).map(option => [...before, option]),
    );
  }
  const estimateOf = ({ options: own, start }: Combination): number =>
    Math.min(...own.map(({ work }, i) => (work === 0 ? Number.POSITIVE_INFINITY : start[i]! / work)));
  return combined
    .flatMap((own): Combination[] => {
      const start = startOf(own, fleet);
      const { routing, variant } = own[0]!.group;
      if (start === null) return [];
      const boundRatio = isBounded ? boundOf(own, fleet) : Number.POSITIVE_INFINITY;
      return [{ name: nameOf(own), options: own, routing, variant, boundRatio, isBounded, start }];
    })
    .map(combination => ({ combination, estimate: estimateOf(combination) }))
    .sort((a, b) => b.estimate - a.estimate || (a.combination.name < b.combination.name ? -1 : 1))
    .map(({ combination }) => combination);
}

/** `large: h200-141gb-sxm TP 2; small: h200-141gb-sxm`. */
function nameOf(options: readonly PoolOption[]): string {
  const { routing, variant } = options[0]!.group;
  const pools = options.map(
    ({ group: { pool, gpu, tensorParallel, shape } }) =>
      `${pool}: ${gpu}${tensorParallel === 1 ? '' : ` TP ${tensorParallel}`}${shape === 'split' ? ' split' : ''}`,
  );
  const choices = Object.entries(variant.choices).map(([name, value]) => `${name} ${value}`);
  return [...pools, routing, ...choices].join('; ');
}

/** The same split with `count` replicas of one pool in the hands of another on the same GPUs; null: that cannot be. */
export function moved(
  { options }: Pick<Combination, 'options'>,
  split: Split,
  { from, to, count }: { from: number; to: number; count: number },
  fleet: readonly FleetKind[],
): Split | null {
  const [giver, taker] = [options[from]!, options[to]!];
  if (from === to || giver.group.gpu !== taker.group.gpu) return null;
  const free = freeOf(options, split, fleet).find(({ gpu }) => gpu === giver.group.gpu)!.gpus;
  const given = Math.max(count, Math.ceil((sizeOf(taker) - free) / sizeOf(giver)));
  if (split[from]! - given < leastOf(giver)) return null;
  const replicas = [...split];
  replicas[from]! -= given;
  replicas[to]! += Math.floor((free + given * sizeOf(giver)) / sizeOf(taker));
  return filled(options, replicas, fleet);
}

/** `12`, or `3+9` of prefill and decode. */
export const replicasText = ({ group, prefillRatio }: PoolOption, replicas: number): string => {
  if (group.shape !== 'split') return String(replicas);
  const prefill = prefillReplicas(replicas, prefillRatio);
  return `${prefill}+${replicas - prefill}`;
};

/** A split as a deployment of `input`. */
export function candidateOf({ name, options, routing }: Combination, split: Split, input: string): Candidate {
  const gpus = gpusOf(options, split);
  const pools = options.map((option, i) => {
    const { pool, gpu, tensorParallel, shape } = option.group;
    return `${pool} ${replicasText(option, split[i]!)} x ${gpu}${tensorParallel === 1 ? '' : ` TP ${tensorParallel}`}${shape === 'split' ? ' split' : ''}`;
  });
  const prices = options.map(({ usdPerGpuHour }) => usdPerGpuHour);
  const isPriced = prices.every(price => price !== null);
  return {
    name: `${pools.join(' + ')}, ${routing}`,
    group: name,
    replicas: split.reduce((sum, each) => sum + each, 0),
    choices: {
      ...Object.fromEntries(options.map(({ group }, i) => [`${group.pool} GPUs`, gpus[i]!])),
      routing,
      ...options[0]!.group.variant.choices,
    },
    deployment: {
      input,
      set: [...new Set(options.flatMap((option, i) => overridesOf(option.group, split[i]!, option)))],
    },
    gpus: gpus.reduce((sum, each) => sum + each, 0),
    usdPerHour: isPriced ? prices.reduce<number>((sum, price, i) => sum + price! * gpus[i]!, 0) : null,
  };
}
