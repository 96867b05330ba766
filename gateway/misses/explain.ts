// Why a cache did not have what a call missed of its prompt: what was computed before the call was taken up, by whom and
// behind what, against what the cache could have kept.
//
//   ├─ found ─┤─ evicted, expired, off ─┤─ elsewhere, invalidated ─┤ partial ┤─ new, changed ─┤
//           cached            this cache had it        another had it     known to here    the prompt's end
//
// Laws: the misses of a call tile its prompt from its cached tokens to its end; without a call that computed it before
// nothing is but new.
import type { PromptPart } from '../../scenarios/formats/prompt.ts';
import { type CacheMiss, MISS_DETAILS, type MissReason } from '../../scenarios/formats/record.ts';
import { type Author, holdOf, type Place, type Stretch } from './computed.ts';

/** What a cache keeps, and how. */
export interface CacheRule {
  /** Found in whole blocks of so many tokens; 0: it keeps nothing. */
  readonly blockTokens: number;
  /** Prompts are found from so many tokens on. */
  readonly minTokens: number;
  /** The last token of a prompt is computed even where it is known. */
  readonly computesLast: boolean;
  /** What was not used for so long is gone; Infinity: nothing goes by time. */
  readonly ttlMs: number;
  /** What answers leave is kept by the cache that is asked again; by another half of the pool; by nobody. */
  readonly answers: 'here' | 'elsewhere' | 'nowhere';
  /** One name stands for several caches: what is missing in one may be in another. */
  readonly isSeveral: boolean;
}

/** A call as its cache saw it. */
export interface Ask {
  readonly author: Author;
  readonly place: Place;
  readonly rule: CacheRule;
  /** When its cache was looked at. */
  readonly atMs: number;
  /** As planned, and as the server counted. */
  readonly plannedTokens: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Leading tokens that were there from the start. */
  readonly warmTokens: number;
  readonly parts: readonly PromptPart[];
  /** Pass of its loop, from 0. */
  readonly iteration: number | null;
}

const UNLABELLED = 'unlabelled';

/** Where the known beginning of a prompt ends, in tokens of the prompt as planned. */
interface Known {
  hereTokens: number;
  anyTokens: number;
}

/** `end`: the last stretch of its prompt, or of what is known of that. */
export function missesOf(ask: Ask, end: Stretch): CacheMiss[] {
  const { rule, promptTokens, plannedTokens, cachedTokens } = ask;
  if (cachedTokens >= promptTokens) return [];
  const scale = promptTokens / Math.max(1, plannedTokens);
  /** Servers that count otherwise than planned put their own tokens somewhere between: places are known but roughly. */
  const slack = Math.abs(promptTokens - plannedTokens);
  const placeOf = (planned: number): number =>
    slack === 0 ? planned : Math.min(promptTokens, Math.round(planned * scale));
  const wholeBlocks = (planned: number): number => {
    if (rule.blockTokens === 0) return placeOf(planned);
    const most = Math.min(placeOf(planned) - slack, promptTokens - (rule.computesLast ? 1 : 0));
    const whole = most - (most % rule.blockTokens);
    return whole < rule.minTokens ? 0 : Math.max(0, whole);
  };

  // 1. What of the prompt was known, from its end to the first token that was not found.
  const path = missedPath(end, cachedTokens / scale);
  const { hereTokens, anyTokens } = knownOf(ask, path, end);
  const herePlace = wholeBlocks(hereTokens);
  const anyPlace = Math.max(herePlace, wholeBlocks(anyTokens));
  const knownPlace = placeOf(anyTokens);

  // 2. From there to its end, stretch by stretch.
  const misses = new Misses(ask, placeOf);
  for (let i = path.length - 1; i >= 0 && misses.atToken < knownPlace; i--) {
    const stretch = path[i]!;
    const toToken = Math.min(knownPlace, placeOf(stretch.endTokens));
    if (misses.atToken < herePlace) {
      const { reason, detail } = lost(ask, stretch);
      misses.add(reason, Math.min(toToken, herePlace), detail);
    }
    if (misses.atToken < Math.min(toToken, anyPlace) && stretch.endTokens > hereTokens) {
      const { reason, detail } = away(ask, stretch);
      misses.add(reason, Math.min(toToken, anyPlace), detail);
    }
  }
  // A cache that was filled beforehand may lack what nobody has computed in this run.
  if (misses.atToken < herePlace) misses.add(rule.blockTokens === 0 ? 'off' : 'evicted', herePlace, null);
  misses.add('partial', knownPlace, null);

  // 3. What nobody had computed behind this prefix.
  let change: { segment: string; detail: string | null } | null = null;
  for (let i = path.length - 1; i >= 0; i--) {
    const stretch = path[i]!;
    if (stretch.endTokens <= anyTokens) continue;
    const fromToken = stretch.endTokens - stretch.tokens;
    const beside = together(ask, stretch);
    for (const seen of stretch.seen ?? []) {
      const { content, answer } = seen;
      if (content.sinceMs > ask.atMs || content.stretch.author?.ticket === ask.author.ticket) continue;
      const at = fromToken + seen.fromToken;
      const toToken = placeOf(at + seen.tokens);
      misses.add('new', placeOf(at), beside);
      if (answer === 'read') {
        misses.add('new', toToken, MISS_DETAILS.read);
        continue;
      }
      change ??= changeOf(ask, commonTokens(content.stretch, stretch), answer === 'own' ? at : null);
      misses.add('changed', toToken, change.detail, change.segment);
    }
    misses.add('new', placeOf(stretch.endTokens), beside);
  }
  misses.add('new', promptTokens, null);
  return misses.list;
}

/** What is not what it was, from token `at` on; `answerAt`: where an answer begins that is missed. */
function changeOf(
  { parts, iteration }: Ask,
  at: number,
  answerAt: number | null,
): { segment: string; detail: string | null } {
  const pass = iteration === null ? null : `pass ${iteration + 1}`;
  return {
    segment: segmentAt(parts, at),
    detail: at === answerAt ? MISS_DETAILS.reasoning : pass,
  };
}

/** The stretches that end behind `fromToken`, the last first. */
function missedPath(end: Stretch, fromToken: number): Stretch[] {
  const path: Stretch[] = [];
  for (let stretch = end; stretch.parent !== null && stretch.endTokens > fromToken; stretch = stretch.parent)
    path.push(stretch);
  return path;
}

function knownOf({ author, place, atMs, warmTokens }: Ask, path: readonly Stretch[], end: Stretch): Known {
  let anyTokens = path.length === 0 ? end.endTokens : 0;
  let hereTokens = warmTokens;
  for (const stretch of path) {
    if (stretch.sinceMs > atMs || stretch.author?.ticket === author.ticket) continue;
    anyTokens = Math.max(anyTokens, stretch.endTokens);
    if (holdOf(stretch, place, atMs) === null) continue;
    // Who has a stretch has the way to it.
    hereTokens = Math.max(hereTokens, stretch.endTokens);
    break;
  }
  return { hereTokens, anyTokens: Math.max(anyTokens, hereTokens) };
}

/** This cache had it. */
function lost({ place, rule, atMs }: Ask, stretch: Stretch): { reason: MissReason; detail: string | null } {
  if (rule.blockTokens === 0) return { reason: 'off', detail: null };
  if (rule.isSeveral) return { reason: 'elsewhere', detail: 'on another rank, or evicted' };
  const hold = holdOf(stretch, place, atMs);
  if (hold === null) return { reason: 'evicted', detail: null };
  const usedMs = hold.usedMs <= atMs ? hold.usedMs : hold.beforeMs;
  return { reason: atMs - usedMs >= rule.ttlMs ? 'expired' : 'evicted', detail: null };
}

/** Another cache had it. */
function away(
  { author, place, rule, atMs }: Ask,
  stretch: Stretch,
): { reason: MissReason; detail: string | null } {
  if (rule.blockTokens === 0) return { reason: 'off', detail: null };
  const others = stretch.holds.filter(({ sinceMs }) => sinceMs <= atMs).map(hold => hold.place);
  const other = others.find(({ pool }) => pool === place.pool) ?? others[0];
  const isOtherHalf = other !== undefined && other.pool === place.pool && other.replica === null;
  const detail = isOtherHalf
    ? MISS_DETAILS.decode
    : other === undefined
      ? null
      : `was on ${other.replica ?? other.pool}`;
  const isInvalidated = author.isDiverted
    ? others.every(({ pool }) => pool !== place.pool)
    : stretch.plannedMs > atMs;
  return { reason: isInvalidated ? 'invalidated' : 'elsewhere', detail };
}

/** Who computed it at the same time; null: nobody but the call itself. */
function together({ author, atMs }: Ask, { sinceMs, author: other }: Stretch): string | null {
  if (other === null || other.ticket === author.ticket || sinceMs <= atMs) return null;
  const name = other.session === author.session ? other.path : `${other.session} ${other.path}`;
  return `computed at the same time by ${name}`;
}

/** Tokens that the ways to two stretches have in common. */
function commonTokens(one: Stretch, other: Stretch): number {
  let a = one;
  let b = other;
  while (a !== b) {
    if (a.endTokens >= b.endTokens && a.parent !== null) a = a.parent;
    else if (b.parent !== null) b = b.parent;
    else break;
  }
  return a.endTokens;
}

/** The part of a prompt that its token `at` is in. */
function segmentAt(parts: readonly PromptPart[], at: number): string {
  let endTokens = 0;
  for (const { segment, tokens } of parts) {
    endTokens += tokens;
    if (at < endTokens) return segment;
  }
  return UNLABELLED;
}

/** Grows from the first missed token to the end of the prompt, part by part. */
class Misses {
  readonly list: CacheMiss[] = [];
  /** All before it is explained. */
  atToken: number;
  private readonly parts: readonly PromptPart[];
  private readonly placeOf: (planned: number) => number;
  private row = 0;
  /** Where the part of `row` ends, as planned. */
  private partEnd = 0;

  constructor({ parts, cachedTokens }: Ask, placeOf: (planned: number) => number) {
    this.parts = parts;
    this.placeOf = placeOf;
    this.atToken = cachedTokens;
    this.partEnd = parts[0]?.tokens ?? Number.POSITIVE_INFINITY;
  }

  /** The part that the next token is in. */
  get segment(): string {
    while (this.row < this.parts.length && this.placeOf(this.partEnd) <= this.atToken) {
      this.row += 1;
      this.partEnd += this.parts[this.row]?.tokens ?? Number.POSITIVE_INFINITY;
    }
    return this.parts[this.row]?.segment ?? UNLABELLED;
  }

  /** Up to `toToken`, which may lie behind. `named`: the segment where that is not the one of the tokens. */
  add(reason: MissReason, toToken: number, detail: string | null, named?: string): void {
    while (this.atToken < toToken) {
      const here = this.segment;
      const segment = named ?? here;
      const end = named === undefined ? Math.min(toToken, this.placeOf(this.partEnd)) : toToken;
      const tokens = end - this.atToken;
      const last = this.list[this.list.length - 1];
      if (last !== undefined && last.reason === reason && last.segment === segment && last.detail === detail)
        last.tokens += tokens;
      else this.list.push({ reason, tokens, segment, detail });
      this.atToken = end;
    }
  }
}
