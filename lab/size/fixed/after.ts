// What is asked about the best use of a fleet: how few GPUs are enough for today, and what another server would bring.
import type { FleetKind } from '../../../scenarios/formats/size-fleet.ts';
import type { Rung } from '../search.ts';
import { type Judged, judged } from './judge.ts';
import { type Contender, type FleetSearch, settled } from './search.ts';
import { boundOf, filled, freeOf, type Split } from './split.ts';

export const GPUS_OF_A_SERVER = 8;

const leastOf = ({ combination: { options } }: Contender): number[] =>
  options.map(({ group }) => group.replicas.min);

/**
 * The same combination with as few GPUs as hold today's traffic: its pools in proportion, then one replica less wherever
 * that is still enough. Null: what holds more does not hold this.
 */
export async function enoughOf(
  search: FleetSearch,
  contender: Contender,
  rung: Rung,
): Promise<Judged | null> {
  const { combination, split } = contender;
  const { options } = combination;
  const least = leastOf(contender);
  const most = Math.max(...split);
  const chain: Split[] = [];
  for (let n = 1; n <= most; n++) {
    const scaled = split.map((replicas, i) => Math.max(least[i]!, Math.ceil((replicas * n) / most)));
    if (chain.at(-1)?.join() !== scaled.join()) chain.push(scaled);
  }
  const at = async (splits: readonly Split[]): Promise<Judged[]> =>
    judged(
      search,
      splits.map(each => ({ combination, split: each, loadRatio: 1, rung })),
    );
  let [low, high] = [-1, chain.length - 1];
  let found: Judged | null = null;
  // What holds a multiple of today's traffic needs about so much less for today's.
  let next = Math.min(high, Math.max(0, Math.ceil(chain.length / Math.max(1, contender.heldRatio)) - 1));
  while (low < high) {
    search.tell(`${combination.name}: today's traffic on fewer GPUs`);
    const [look] = (await at([chain[next]!])) as [Judged];
    if (look.isKept) [found, high] = [look, next];
    else low = next;
    if (high - low <= 1 && found !== null) break;
    next = low < 0 && found !== null && next > 2 ? Math.floor(next * 0.8) : Math.ceil((low + high) / 2);
  }
  while (found !== null) {
    const from: Split = found.split;
    const fewer = from.flatMap((replicas, i): Split[] =>
      replicas > least[i]! ? [from.map((each, k) => (k === i ? each - 1 : each))] : [],
    );
    const kept = (await at(fewer)).filter(({ isKept }) => isKept);
    if (kept.length === 0) break;
    const gpusOf = ({ split: own }: Judged): number =>
      own.reduce((sum, replicas, i) => sum + replicas * options[i]!.group.tensorParallel, 0);
    found = kept.toSorted((a, b) => gpusOf(a) - gpusOf(b) || b.marginRatio - a.marginRatio)[0]!;
  }
  return found;
}

/** The fleet with another server of the kind that the tightest pool is on, and the combination settled on it. */
export async function withServer(
  search: FleetSearch,
  contender: Contender,
  tightest: number,
  rung: Rung,
): Promise<{ kind: FleetKind; contender: Contender } | null> {
  const { combination, split } = contender;
  const { options } = combination;
  const { gpu, tensorParallel } = options[tightest]!.group;
  const kind = { gpu, gpus: GPUS_OF_A_SERVER };
  const fleet = search.fleet.map(each =>
    each.gpu === gpu ? { gpu, gpus: each.gpus + GPUS_OF_A_SERVER } : each,
  );
  const free = freeOf(options, split, fleet).find(each => each.gpu === gpu)!.gpus;
  const more = Math.floor(free / tensorParallel);
  if (more === 0) return null;
  const start = filled(
    options,
    split.map((replicas, i) => (i === tightest ? replicas + more : replicas)),
    fleet,
  );
  const larger: Contender = {
    ...contender,
    combination: {
      ...combination,
      boundRatio: combination.isBounded ? boundOf(options, fleet) : Number.POSITIVE_INFINITY,
      start,
    },
    split: start,
    broken: null,
    left: null,
  };
  await settled({ ...search, fleet }, larger, rung);
  return { kind, contender: larger };
}
