// What of a prompt is stable, by name and length, and what each part of it is worth keeping: for routers that send equal
// prefixes to one place, and for the hints of context/server-hints.ts. Computed when asked for, once per prompt.
import { extend, type Key, textKey } from '../../scenarios/base/key.ts';
import { appendRuns, headOf, type Retention, type Run } from '../../scenarios/formats/prompt.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';

export type ContextClass = 'durable' | 'session' | 'ephemeral';

/** A labelled part of a prompt, and what it is worth. */
export interface PartHint {
  readonly segment: string;
  readonly fromToken: number;
  /** Exclusive. */
  readonly toToken: number;
  readonly worth: ContextClass;
  /** 1 to 100, as in formats/prompt.ts. */
  readonly priority: number;
  /** null: for ever. */
  readonly durationMs: number | null;
}

export interface StablePrefix {
  /** Equal for equal content, however it was cut. */
  readonly key: Key;
  readonly tokens: number;
  /** Of all parts of the prompt, in order. */
  readonly hints: readonly PartHint[];
}

/** What of a call is read. */
export type PrefixOf = Pick<Call, 'prompt' | 'parts' | 'retention'>;

/** What a part is worth of which nothing is said: formats/prompt.ts, and TensorRT-LLM's kDefaultRetentionPriority. */
const DEFAULT_PRIORITY = 35;
/** Parts that no prefix segment is: they differ from call to call. */
const CHANGING = ['history', 'reads', 'input'];
const ROOT = textKey('stable prefix');
const NOTHING_SAID: readonly Retention[] = [];

const prefixes = new WeakMap<readonly Run[], StablePrefix>();

/**
 * The prompt up to its last durable part; where nothing is said of any part, up to the end of its prefix segments.
 * Attempts of a call share their prompt, and so what was computed.
 */
export function prefixOf(call: PrefixOf): StablePrefix {
  const known = prefixes.get(call.prompt);
  if (known !== undefined) return known;
  const hints = partHints(call);
  const tokens =
    call.retention === undefined
      ? (hints.find(({ segment }) => CHANGING.includes(segment))?.fromToken ?? hints.at(-1)?.toToken ?? 0)
      : (hints.findLast(({ worth }) => worth === 'durable')?.toToken ?? 0);
  const prefix = { key: headKey(call.prompt, tokens), tokens, hints };
  prefixes.set(call.prompt, prefix);
  return prefix;
}

function partHints({ parts, retention = NOTHING_SAID }: PrefixOf): PartHint[] {
  let fromToken = 0;
  return parts.map(({ segment, tokens }) => {
    const at = fromToken;
    fromToken += tokens;
    const said = retention.find(each => each.fromToken <= at && at < (each.toToken ?? Infinity));
    const priority = said?.priority ?? DEFAULT_PRIORITY;
    const durationMs = said?.durationMs ?? null;
    return { segment, fromToken: at, toToken: fromToken, worth: classOf(priority), priority, durationMs };
  });
}

const classOf = (priority: number): ContextClass =>
  priority > DEFAULT_PRIORITY ? 'durable' : priority < DEFAULT_PRIORITY ? 'ephemeral' : 'session';

/** The chained key of the first `tokens` tokens: a piece that goes on where the last ended needs no link of its own. */
function headKey(runs: readonly Run[], tokens: number): Key {
  const pieces: Run[] = [];
  appendRuns(pieces, headOf(runs, tokens));
  return pieces.reduce(
    (key, { key: content, from, tokens: has }) => extend(extend(key, content.hi, content.lo), from, has),
    ROOT,
  );
}
