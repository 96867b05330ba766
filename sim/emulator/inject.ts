// Faults that the emulator brings about, so that what stands before it can be tried: `error=5%,429=10%:2s,cut=1%`. Pure.
// Rule: which request fails, and how, follows from the seed and its number alone.
import { UserError } from '../../scenarios/base/errors.ts';
import { extend, type Key, seedKey, uniform } from '../../scenarios/base/key.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';

/** What becomes of one request. */
export type InjectedFault =
  /** Refused with this status; `retryAfterMs`: null: it does not say when to come back. */
  | { readonly kind: 'refuse'; readonly status: number; readonly retryAfterMs: number | null }
  /** After its first tokens nothing comes for so long; Infinity: ever again. */
  | { readonly kind: 'stall'; readonly ms: number }
  /** Half of its tokens come, then the socket is closed. */
  | { readonly kind: 'cut' }
  /** Half of its tokens come, then it ends with finish_reason content_filter. */
  | { readonly kind: 'content_filter' };

export interface Injection {
  /** Shares of all requests, in order; together at most 1. */
  readonly faults: readonly { readonly share: number; readonly fault: InjectedFault }[];
  /** Requests wait for so long after the start of the server. */
  readonly slowStartMs: number;
  readonly key: Key;
}

/** Decides for requests numbered from 1. */
export function injectedFault({ faults, key }: Injection, request: number): InjectedFault | null {
  let left = uniform(extend(key, request));
  for (const { share, fault } of faults) {
    if (left < share) return fault;
    left -= share;
  }
  return null;
}

const FAULTS = ['error', '429', 'stall', 'cut', 'content_filter', 'slow_start'] as const;
export const INJECT_EXAMPLE = 'error=5%,429=10%:2s,stall=2%:5s,cut=1%,content_filter=1%,slow_start=10s';

/** Reads what `--inject` takes; a UserError says which part is wrong. */
export function parseInjection(text: string, seed: number | string): Injection {
  const faults: { share: number; fault: InjectedFault }[] = [];
  const named = new Set<string>();
  let slowStartMs = 0;
  for (const part of text.split(',').map(each => each.trim())) {
    const [name = '', value = ''] = part.split('=', 2);
    if (named.has(name)) throw wrong(part, `${name} is given twice`);
    named.add(name);
    if (name === 'slow_start') {
      slowStartMs = scalar(part, value, 'ms');
      continue;
    }
    const [share = '', detail] = value.split(':', 2);
    faults.push({ fault: faultOf(part, name, detail), share: scalar(part, share, 'ratio') });
  }
  const sum = faults.reduce((total, { share }) => total + share, 0);
  if (sum > 1 + 1e-9)
    throw new UserError(`--inject ${text}: more than every request fails (${Math.round(sum * 100)} %)`, {
      hint: 'the shares are of all requests; together they are at most 100%',
    });
  return { faults, slowStartMs, key: extend(seedKey(seed), INJECTED) };
}

/** Tells these draws from others of a seed. */
const INJECTED = 0x696e6a65;

function faultOf(part: string, name: string, detail: string | undefined): InjectedFault {
  switch (name) {
    case 'error': {
      const status = Number(detail ?? 500);
      if (!Number.isInteger(status) || status < 400 || status > 599)
        throw wrong(part, 'expected a status from 400 to 599 behind the share, such as error=5%:503');
      return { kind: 'refuse', status, retryAfterMs: null };
    }
    case '429':
      return {
        kind: 'refuse',
        status: 429,
        retryAfterMs: detail === undefined ? null : scalar(part, detail, 'ms'),
      };
    case 'stall':
      return {
        kind: 'stall',
        ms: detail === undefined ? Number.POSITIVE_INFINITY : scalar(part, detail, 'ms'),
      };
    case 'cut':
    case 'content_filter':
      if (detail !== undefined) throw wrong(part, `${name} takes a share only`);
      return { kind: name };
    default:
      throw wrong(part, didYouMean(name, FAULTS) ?? `there are: ${FAULTS.join(', ')}`);
  }
}

function scalar(part: string, raw: string, dimension: 'ms' | 'ratio'): number {
  const parsed = parseScalar(raw, dimension);
  if ('error' in parsed) throw wrong(part, parsed.hint ?? parsed.error);
  return parsed.value;
}

const wrong = (part: string, hint: string): UserError =>
  new UserError(`--inject: cannot read "${part}"`, { hint: `${hint}; e.g. --inject ${INJECT_EXAMPLE}` });
