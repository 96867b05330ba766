// Why caches missed: the misses of all calls added up, and what stands out of them in a sentence.
import { type CallRecord, MISS_DETAILS, type MissReason } from '../scenarios/formats/record.ts';
import type { RunResult } from '../scenarios/formats/result.ts';
import { showRatio } from './numbers.ts';

export type MissRow = NonNullable<RunResult['cacheMisses']>[number];

/** Details of one row that are told apart; each call may have its own. */
const DETAILS_MAX = 64;

interface Sum {
  readonly row: MissRow;
  readonly details: Map<string, number>;
}

const KNOWN_DETAILS: readonly (string | null)[] = Object.values(MISS_DETAILS);
/** Reasons that have another remedy for a known detail are told apart. */
const kindOf = (reason: MissReason, detail: string | null): string =>
  KNOWN_DETAILS.includes(detail) ? `${reason}, ${detail}` : reason;

/** By segment and reason, the most tokens first; null: of no call is known why. */
export function cacheMissesOf(calls: readonly Pick<CallRecord, 'misses'>[]): MissRow[] | null {
  const sums = new Map<string, Sum>();
  let isKnown = false;
  for (const { misses } of calls) {
    if (misses === undefined) continue;
    isKnown = true;
    const met = new Set<Sum>();
    for (const { segment, reason, tokens, detail } of misses) {
      const name = `${kindOf(reason, detail)} ${segment}`;
      const sum = sums.get(name) ?? { row: { segment, reason, tokens: 0, calls: 0 }, details: new Map() };
      sums.set(name, sum);
      sum.row.tokens += tokens;
      if (!met.has(sum)) sum.row.calls += 1;
      met.add(sum);
      const known = detail === null ? undefined : sum.details.get(detail);
      if (detail !== null && (known !== undefined || sum.details.size < DETAILS_MAX))
        sum.details.set(detail, (known ?? 0) + tokens);
    }
  }
  if (!isKnown) return null;
  return [...sums]
    .sort(([a, one], [b, other]) => other.row.tokens - one.row.tokens || (a < b ? -1 : 1))
    .map(([, { row, details }]) => {
      const most = [...details].find(([, tokens]) => tokens > row.tokens / 2);
      return most === undefined ? row : { ...row, detail: most[0] };
    });
}

/** In the order of what can be done about it. */
export const MISS_NAMES: Record<MissReason, string> = {
  new: 'new',
  partial: 'less than a block',
  changed: 'behind a changed prefix',
  elsewhere: 'on another replica',
  evicted: 'evicted',
  expired: 'expired',
  invalidated: 'with another model',
  off: 'not kept',
};

/** Below this share of the missed tokens a reason is not worth a clause. */
const WORTH_SAYING = 0.05;

export interface Missed {
  reason: MissReason;
  tokens: number;
  /** Of all missed tokens. */
  share: number;
  /** The segment with the most of it. */
  segment: string;
  detail: string | null;
}

/** What no cache of whole blocks could have had. */
const isInevitable = ({ reason, detail }: Pick<Missed, 'reason' | 'detail'>): boolean =>
  reason === 'new' || reason === 'partial' || detail === MISS_DETAILS.reasoning;

/** By reason, and what cannot be helped apart from what can; the most tokens first. */
export function missedByReason({ cacheMisses = [] }: Pick<RunResult, 'cacheMisses'>): Missed[] {
  const all = cacheMisses.reduce((sum, { tokens }) => sum + tokens, 0);
  const byReason = new Map<string, Missed>();
  for (const { reason, segment, tokens, detail = null } of cacheMisses) {
    const name = kindOf(reason, detail);
    // Rows come by tokens: the first of a reason has the most.
    const missed = byReason.get(name) ?? { reason, segment, detail, tokens: 0, share: 0 };
    byReason.set(name, missed);
    missed.tokens += tokens;
    missed.share = missed.tokens / all;
  }
  return [...byReason.values()].sort(
    (a, b) => b.tokens - a.tokens || (`${a.reason} ${a.segment}` < `${b.reason} ${b.segment}` ? -1 : 1),
  );
}

/** The most of what a cache could have had; null: hardly any. */
export function worstMiss(result: Pick<RunResult, 'cacheMisses'>): Missed | null {
  const worst = missedByReason(result).find(missed => !isInevitable(missed));
  return worst === undefined || worst.share < WORTH_SAYING ? null : worst;
}

/** What became of the tokens. */
const FACTS: Record<MissReason, (missed: Missed) => string> = {
  new: ({ detail }) => (detail === MISS_DETAILS.read ? 'are answers that another step reads' : 'are new'),
  partial: () => 'are less than a block',
  changed: ({ segment, detail }) =>
    detail === MISS_DETAILS.reasoning
      ? 'are answers that go on without their reasoning'
      : `stand behind a changed “${segment}”`,
  elsewhere: ({ detail }) =>
    detail === MISS_DETAILS.decode
      ? 'are answers that stayed with the decode replicas'
      : 'were on another replica',
  evicted: () => 'had been evicted',
  expired: () => 'had expired',
  invalidated: () => 'were with another model, for the gateway changed it',
  off: () => 'had been computed where nothing is kept',
};

/** What helps; null: nothing that a sentence could say. */
const REMEDIES: Record<MissReason, string | null> = {
  new: null,
  partial: null,
  changed: 'put what changes last',
  elsewhere: 'route by prefix or by session',
  evicted: 'give the KV cache room',
  expired: 'keep them longer, or ask sooner',
  invalidated: 'keep a session on one model',
  off: 'turn prefix caching on',
};

const remedyOf = ({ reason, detail }: Missed): string => {
  const remedy =
    detail === MISS_DETAILS.decode ? 'a KV tier that both halves share has them' : REMEDIES[reason];
  return remedy === null || detail === MISS_DETAILS.reasoning ? '' : `: ${remedy}`;
};

/** `21 % were on another replica: route by prefix or by session`. */
export const missClause = (missed: Missed): string =>
  `${showRatio(missed.share)} ${FACTS[missed.reason](missed)}${remedyOf(missed)}`;

/** `21 % of the missed prompt tokens were on another replica`; null: a cache could have had hardly any. */
export function missFact(result: Pick<RunResult, 'cacheMisses'>): string | null {
  const worst = worstMiss(result);
  return worst === null
    ? null
    : `${showRatio(worst.share)} of the missed prompt tokens ${FACTS[worst.reason](worst)}`;
}

/** The same, and what helps. */
export function missSentence(result: Pick<RunResult, 'cacheMisses'>): string | null {
  const worst = worstMiss(result);
  return worst === null ? null : `${missFact(result)}${remedyOf(worst)}`;
}
