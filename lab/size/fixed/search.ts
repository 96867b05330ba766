// The split that holds the most traffic. Combinations race under a load that doubles until none keeps its promises; where one
// breaks, GPUs move from the pool with most room to the tightest. Who is near the best is looked at in longer runs with more
// seeds. All meet the same agents, and what runs side by side does not depend on the number of threads.
//
//   combinations ─▶ race ─▶ short: raised, mended, raised… ─▶ middle ─▶ finalists
//                              ▲──── one choice changed ────┘
import type { Rung } from '../search.ts';
import { type Field, type Judged, judged, roomsOf } from './judge.ts';
import { type Combination, moved, type Split } from './split.ts';

export interface Contender {
  readonly combination: Combination;
  /** The one that held the most. */
  split: Split;
  /** Times today's traffic that it held in its last rung; 0: none that was tried. */
  heldRatio: number;
  /** Null: no run. */
  rung: 'race' | Rung['name'] | null;
  /** Where it broke last; null: nowhere. */
  broken: Judged | null;
  /** Why it went no further; null: it did. */
  left: string | null;
}

export interface Searched {
  /** All combinations, the best first. */
  readonly contenders: readonly Contender[];
  /** Best first, of the middle rung. */
  readonly finalists: readonly Contender[];
  /** Of all that broke, what came closest, where nothing held. */
  readonly closest: Judged | null;
}

/** As `--max-load` looks: beyond these nobody is asked. */
const LEAST = 1 / 64;
const MOST = 1024;
const PRECISION_RATIO = 1.03;
/** Combinations in the race at most: the best with each choice, then the most promising; others as neighbours of the best. */
const RACED_MAX = 48;
/** What is as near as this to the best may be better than it in longer runs. */
const NEAR_RATIO = 0.9;
const FINALISTS = 3;
/** Times the neighbours of the best are asked for. */
const ROUNDS = 3;
/** Moves that mend one split at one load, and what a move must gain over the target. */
const MOVES_MAX = 8;
const GAIN = 0.005;
/** Of the giver's replicas, what moves at once: much, then little, then one. */
const STRIDES = [1 / 4, 1 / 16, 0] as const;

export interface FleetSearch extends Field {
  readonly rungs: readonly [Rung, Rung, Rung];
  /** Most promising first. */
  readonly combinations: readonly Combination[];
}

const best = (contenders: readonly Contender[]): Contender[] =>
  contenders.toSorted(
    (a, b) =>
      b.heldRatio - a.heldRatio ||
      (b.broken?.marginRatio ?? 0) - (a.broken?.marginRatio ?? 0) ||
      (a.combination.name < b.combination.name ? -1 : 1),
  );

export async function searchFleet(search: FleetSearch): Promise<Searched> {
  const { rungs, combinations } = search;
  const [short, middle] = rungs;
  const contenders = combinations.map(
    (combination): Contender => ({
      combination,
      split: combination.start,
      heldRatio: 0,
      rung: null,
      broken: null,
      left: null,
    }),
  );
  const raced = racersOf(contenders);
  await race(search, raced, short);
  let [first] = best(raced.filter(({ heldRatio }) => heldRatio > 0));
  if (first === undefined) return { contenders, finalists: [], closest: closestOf(raced) };
  await raised(search, first, short);
  await challenge(search, raced, first, short);
  [first] = best(raced) as [Contender];
  for (let round = 0; round < ROUNDS; round++) {
    const neighbours = contenders.filter(each => each.rung === null && isNeighbour(each, first!));
    if (neighbours.length === 0) break;
    await challenge(search, neighbours, first, short);
    const [next] = best([first, ...neighbours]) as [Contender];
    if (next === first) break;
    first = next;
  }
  const limit = NEAR_RATIO * first.heldRatio;
  const held = best(contenders.filter(({ heldRatio }) => heldRatio > 0));
  // Whatever comes second is told, too.
  const finalists = held.filter(({ heldRatio }, i) => i < 2 || heldRatio >= limit).slice(0, FINALISTS);
  for (const finalist of finalists) {
    if (finalist.rung === 'race') await raised(search, finalist, short);
    await settled(search, finalist, middle);
  }
  for (const each of contenders) each.left ??= whyLeft(each, first, finalists);
  return { contenders: best(contenders), finalists: best(finalists), closest: null };
}

/** The most promising combination with each choice of each pool, and then the most promising. */
function racersOf(contenders: readonly Contender[]): Contender[] {
  if (contenders.length <= RACED_MAX) return [...contenders];
  const keyOf = ({ combination }: Contender, pool: number): string => {
    const { gpu, tensorParallel, shape } = combination.options[pool]!.group;
    return JSON.stringify([pool, gpu, tensorParallel, shape]);
  };
  const chosen = new Set<Contender>();
  const seen = new Set<string>();
  for (const contender of contenders)
    for (const pool of contender.combination.options.keys()) {
      const key = keyOf(contender, pool);
      if (!seen.has(key)) chosen.add(contender);
      seen.add(key);
    }
  for (const contender of contenders) {
    if (chosen.size >= RACED_MAX) break;
    chosen.add(contender);
  }
  return contenders.filter(each => chosen.has(each));
}

/** All under one load, then those that kept their promises under twice as much, until none does. */
async function race(search: FleetSearch, racers: readonly Contender[], rung: Rung): Promise<void> {
  const bound = Math.max(...racers.map(({ combination }) => combination.boundRatio));
  let loadRatio = Number.isFinite(bound) ? Math.min(MOST, Math.max(LEAST, bound / 8)) : 1;
  let running = racers;
  let isFirst = true;
  while (running.length > 0 && loadRatio <= MOST) {
    search.tell(`${running.length} combinations at ${shown(loadRatio)} times the traffic`);
    const kept = await keptAt(search, running, loadRatio, rung);
    for (const each of running) each.rung = 'race';
    if (isFirst && kept.length === 0) {
      if (loadRatio <= LEAST) return;
      loadRatio = Math.max(LEAST, loadRatio / 4);
      continue;
    }
    isFirst = false;
    running = kept;
    loadRatio *= 2;
  }
}

/** Those that keep their promises under a load, after moving GPUs where they do not. */
async function keptAt(
  search: FleetSearch,
  contenders: readonly Contender[],
  loadRatio: number,
  rung: Rung,
): Promise<Contender[]> {
  const able = contenders.filter(({ combination }) => combination.boundRatio >= loadRatio);
  const looks = await judged(
    search,
    able.map(({ combination, split }) => ({ combination, split, loadRatio, rung })),
  );
  const kept: Contender[] = [];
  for (const [i, contender] of able.entries()) {
    const look = looks[i]!;
    const found = look.isKept ? look : await mended(search, contender, look, false);
    if (found !== null) {
      hold(contender, found);
      kept.push(contender);
    }
  }
  return kept;
}

function hold(contender: Contender, { split, loadRatio }: Judged): void {
  contender.split = split;
  contender.heldRatio = loadRatio;
}

/** A split that keeps its promises where `look` does not; null: no move leads there. `isThorough`: any pool may give. */
async function mended(
  search: FleetSearch,
  contender: Contender,
  look: Judged,
  isThorough: boolean,
): Promise<Judged | null> {
  const { combination } = contender;
  let at = look;
  let moves = 0;
  for (const stride of STRIDES) {
    while (moves++ < MOVES_MAX) {
      const splits = new Map<string, Split>();
      for (const [from, to] of isThorough ? pairsOf(at) : guidedPair(at)) {
        const count = Math.max(1, Math.floor(stride * at.split[from]!));
        const split = moved(combination, at.split, { from, to, count }, search.fleet);
        if (split !== null) splits.set(split.join(), split);
      }
      splits.delete(at.split.join());
      const looks = await judged(
        search,
        [...splits.values()].map(split => ({ ...at, split })),
      );
      const found = looks.reduce<Judged | null>(
        (most, each) => (most === null || each.marginRatio > most.marginRatio ? each : most),
        null,
      );
      if (found === null || found.marginRatio <= at.marginRatio + GAIN) break;
      at = found;
      if (found.isKept) return found;
    }
  }
  contender.broken = at;
  return null;
}

type Pair = readonly [from: number, to: number];

const pairsOf = ({ split }: Judged): Pair[] =>
  split.flatMap((_, from) => split.flatMap((__, to): Pair[] => (from === to ? [] : [[from, to]])));

/** From the pool with most room on the GPUs of the tightest, to the tightest. */
function guidedPair(look: Judged): Pair[] {
  const rooms = roomsOf(look);
  const to = rooms.indexOf(Math.min(...rooms));
  const { options } = look.combination;
  const givers = [...rooms.keys()].filter(
    i => i !== to && options[i]!.group.gpu === options[to]!.group.gpu && look.split[i]! > 1,
  );
  const [from] = givers.toSorted((a, b) => rooms[b]! - rooms[a]! || a - b);
  return from === undefined ? [] : [[from, to]];
}

/** More traffic until it breaks, GPUs moved until that helps no more. It begins with what it holds. */
async function raised(search: FleetSearch, contender: Contender, rung: Rung, stride = 1.3): Promise<void> {
  const { combination } = contender;
  const most = Math.min(MOST, combination.boundRatio);
  contender.rung = rung.name;
  for (;;) {
    let low = contender.heldRatio;
    let high = low * stride;
    let broken: Judged | null = null;
    while (high / low > PRECISION_RATIO) {
      if (high > most) {
        if (low * PRECISION_RATIO >= most) break;
        high = most;
      }
      const loadRatio: number = broken === null ? high : Math.sqrt(low * high);
      search.tell(`${rung.name} run of ${combination.name} at ${shown(loadRatio)} times the traffic`);
      const [look] = (await judged(search, [{ combination, split: contender.split, loadRatio, rung }])) as [
        Judged,
      ];
      if (look.isKept) {
        hold(contender, look);
        low = loadRatio;
        if (broken === null) high = low * stride;
      } else {
        broken = look;
        high = loadRatio;
      }
    }
    if (broken === null) return;
    contender.broken = broken;
    const better = await mended(search, contender, broken, true);
    if (better === null) return;
    hold(contender, better);
  }
}

/** What others hold that is near what the best holds. Whoever may be better is raised. */
async function challenge(
  search: FleetSearch,
  contenders: readonly Contender[],
  champion: Contender,
  rung: Rung,
): Promise<void> {
  const loadRatio = NEAR_RATIO * champion.heldRatio;
  const others = contenders.filter(
    each => each !== champion && (each.rung === null || each.heldRatio >= champion.heldRatio / 4),
  );
  search.tell(`${others.length} combinations against the best, at ${shown(loadRatio)} times the traffic`);
  const fresh = others.filter(({ heldRatio }) => heldRatio < loadRatio);
  for (const each of fresh) each.rung = rung.name;
  const kept = [
    ...others.filter(each => !fresh.includes(each)),
    ...(await keptAt(search, fresh, loadRatio, rung)),
  ];
  for (const each of kept) await raised(search, each, rung, 1.15);
}

/** Differs in one pool's choice, or in what is the same for all pools. */
function isNeighbour({ combination: a }: Contender, { combination: b }: Contender): boolean {
  const isShared = a.routing === b.routing && JSON.stringify(a.variant) === JSON.stringify(b.variant);
  const differing = a.options.filter(({ group: { gpu, tensorParallel, shape } }, i) => {
    const other = b.options[i]!.group;
    return gpu !== other.gpu || tensorParallel !== other.tensorParallel || shape !== other.shape;
  }).length;
  return isShared ? differing === 1 : differing === 0;
}

/** In a longer rung: less traffic until it holds, then more. */
export async function settled(search: FleetSearch, contender: Contender, rung: Rung): Promise<void> {
  const { combination } = contender;
  contender.rung = rung.name;
  let loadRatio = contender.heldRatio;
  contender.heldRatio = 0;
  while (loadRatio >= LEAST) {
    const [look] = (await judged(search, [{ combination, split: contender.split, loadRatio, rung }])) as [
      Judged,
    ];
    const found = look.isKept ? look : await mended(search, contender, look, true);
    if (found !== null) {
      hold(contender, found);
      return raised(search, contender, rung, 1.06);
    }
    loadRatio /= 1.06;
  }
}

function whyLeft(each: Contender, first: Contender, finalists: readonly Contender[]): string | null {
  if (finalists.includes(each)) return null;
  const { combination, rung, heldRatio, broken } = each;
  if (broken?.evaluation.failure != null) return broken.evaluation.failure.message.split('\n')[0]!;
  if (combination.boundRatio < first.heldRatio)
    return `no more than ${shown(combination.boundRatio)} times by arithmetic alone`;
  if (rung === null) return 'not tried: others with the same choices were more promising';
  return heldRatio === 0
    ? `breaks ${broken?.evaluation.tightest?.text ?? 'a promise'} at ${shown(broken?.loadRatio ?? 0)} times the traffic`
    : `holds ${shown(heldRatio)} times the traffic, less than others`;
}

function closestOf(contenders: readonly Contender[]): Judged | null {
  const broken = contenders.flatMap(each => each.broken ?? []);
  return broken.reduce<Judged | null>(
    (most, each) => (most === null || each.marginRatio > most.marginRatio ? each : most),
    null,
  );
}

const shown = (loadRatio: number): string => String(Number(loadRatio.toPrecision(3)));
