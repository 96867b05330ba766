// Options of commands that read a trace: how it is read, and what is taken of it.
import type { Argv } from 'yargs';
import { UserError } from '../base/errors.ts';
import { parseScalar } from '../formats/quantity.ts';
import type { Moment, Selection } from '../formats/selection.ts';
import { utcMicros } from '../importers/parts/clock.ts';
import type { ReadOptions } from '../importers/read.ts';

export interface TraceOptions {
  format: string | undefined;
  'block-size': number | undefined;
  'jitter-quantum': boolean | undefined;
  from: string | undefined;
  to: string | undefined;
  'max-context': string | undefined;
  'sample-sessions': string | undefined;
  'gap-cap': string | undefined;
  anonymize: boolean | undefined;
}

export const TRACE_OPTIONS = [
  'format',
  'from',
  'to',
  'max-context',
  'sample-sessions',
  'gap-cap',
  'anonymize',
  'block-size',
  'jitter-quantum',
] as const;

export const withTrace = <T>(yargs: Argv<T>) =>
  yargs
    .option('format', { type: 'string', describe: 'traces: name the format instead of detecting it' })
    .option('from', {
      type: 'string',
      describe: 'traces: leave out calls before this, e.g. 10m after its start or 2026-11-21T09:00Z',
    })
    .option('to', { type: 'string', describe: 'traces: leave out calls from this on' })
    .option('max-context', {
      type: 'string',
      describe: 'traces: leave out sessions with a call beyond so many tokens, prompt and output: 64k',
    })
    .option('sample-sessions', {
      type: 'string',
      describe: 'traces: keep a share of whole sessions by a hash of their id, e.g. 1/8',
    })
    .option('gap-cap', { type: 'string', describe: 'traces: longest gap kept, e.g. 10s' })
    .option('anonymize', {
      type: 'boolean',
      describe: 'traces: pseudonyms for sessions, agents, tools, tenants, users and files',
    })
    .option('block-size', {
      type: 'number',
      describe: 'traces: tokens of one prefix block, where the format does not say',
    })
    .option('jitter-quantum', {
      type: 'boolean',
      describe: 'traces: spread arrivals over the step of coarse timestamps',
    });

/** What is taken of the trace; null: all of it, as it is. */
export function selectionOf(options: TraceOptions & { 'gap-scale'?: number | undefined }): Selection | null {
  const { from, to, 'max-context': most, 'sample-sessions': sample, 'gap-cap': gapCap, anonymize } = options;
  const selection: Selection = {
    window:
      from === undefined && to === undefined
        ? null
        : { from: momentOf('from', from), to: momentOf('to', to) },
    maxContextTokens: most === undefined ? null : tokensOf('max-context', most),
    sample: sample === undefined ? null : shareOf(sample),
    gapCap:
      gapCap === undefined
        ? null
        : { capMs: durationOf('gap-cap', gapCap), gapScale: options['gap-scale'] ?? 1 },
    anonymize: anonymize === true,
  };
  const nothing =
    selection.window === null &&
    selection.maxContextTokens === null &&
    selection.sample === null &&
    selection.gapCap === null &&
    !selection.anonymize;
  return nothing ? null : selection;
}

export function readOptionsOf({
  format,
  strict,
  ...options
}: TraceOptions & { strict: boolean }): ReadOptions {
  const blockTokens = options['block-size'];
  if (blockTokens !== undefined && !(Number.isInteger(blockTokens) && blockTokens > 0)) {
    throw new UserError(`--block-size ${blockTokens}: expected a whole number of tokens`, {
      hint: 'e.g. --block-size 64',
    });
  }
  return {
    strict,
    ...(format === undefined ? {} : { format }),
    ...(blockTokens === undefined ? {} : { blockTokens }),
    ...(options['jitter-quantum'] === true ? { jitterQuantum: true } : {}),
  };
}

function tokensOf(option: string, text: string): number {
  const parsed = parseScalar(text, 'tokens');
  if ('value' in parsed && parsed.value >= 1) return parsed.value;
  throw new UserError(`--${option} ${text}: expected a number of tokens`, { hint: `e.g. --${option} 64k` });
}

function durationOf(option: string, text: string): number {
  const parsed = parseScalar(text, 'ms');
  if ('value' in parsed) return parsed.value;
  throw new UserError(`--${option} ${text}: ${parsed.error}`, {
    hint: parsed.hint ?? `e.g. --${option} 10s`,
  });
}

const TIME_OF_DAY = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:\d{2})?)?$/;

/** A duration from the start of the trace, or a date with or without a time; without a zone it is UTC. */
function momentOf(option: string, text: string | undefined): Moment | null {
  if (text === undefined) return null;
  const match = TIME_OF_DAY.exec(text);
  if (match === null) return { elapsedMs: durationOf(option, text) };
  const [, date, time = '00:00', zone = 'Z'] = match;
  const micros = utcMicros(`${date}T${time.length === 5 ? `${time}:00` : time}${zone}`);
  if (micros === null)
    throw new UserError(`--${option} ${text}: there is no such time`, { hint: 'e.g. 2026-11-21T09:00Z' });
  return { unixMs: micros / 1000 };
}

function shareOf(text: string): NonNullable<Selection['sample']> {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  const [keep, of] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || keep < 1 || of < keep) {
    throw new UserError(`--sample-sessions ${text}: expected a fraction of at most 1`, {
      hint: 'e.g. --sample-sessions 1/8',
    });
  }
  return { keep, of };
}
