// What a live server is told of a call beside its prompt, in the words of its endpoint's `hints`: headers, fields of the
// body, and marks in the prompt.
import type { Endpoint } from '../engines/engine.ts';
import { prefixOf } from '../gateway/context/prefix-keys.ts';
import {
  agentHints,
  type CacheBreakpoint,
  cacheControl,
  sessionHeaders,
  vllmFields,
} from '../gateway/context/server-hints.ts';
import type { SendRequest } from '../scenarios/workflows/world.ts';

export interface Told {
  readonly headers: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly breakpoints: readonly CacheBreakpoint[];
}

const NO_MARKS: readonly CacheBreakpoint[] = [];

export function toldOf(
  { hints }: Pick<Endpoint, 'hints'>,
  request: SendRequest,
  lengths: AnswerLengths,
): Told {
  const { call, session } = request;
  const priority = call.priority ?? session.priority;
  const said = call.rules?.hints ?? null;
  return {
    headers: {
      ...(hints.includes('session') ? { 'x-session-id': session.id } : {}),
      ...(hints.includes('dynamo') ? sessionHeaders(session.id) : {}),
    },
    fields: {
      ...(hints.includes('priority') ? vllmFields({ priority, cacheSalt: null }) : {}),
      ...(hints.includes('dynamo')
        ? agentHints({
            priority,
            expectedTokens: said?.outputTokens === true ? lengths.expected(request) : null,
          })
        : {}),
    },
    breakpoints: hints.includes('cache_control')
      ? cacheControl(prefixOf(call), { cacheTtlMs: said?.cacheTtlMs ?? null })
      : NO_MARKS,
  };
}

/** How long the answers of each step have been on average: what a server may be told, since nobody knows the next one. */
export class AnswerLengths {
  private readonly steps = new Map<string, { calls: number; tokens: number }>();

  /** Mean, in tokens; null: no answer of it has come. */
  expected({ facts }: SendRequest): number | null {
    const seen = this.steps.get(nameOf(facts));
    return seen === undefined ? null : seen.tokens / seen.calls;
  }

  answered({ facts }: SendRequest, outputTokens: number): void {
    const seen = this.steps.get(nameOf(facts));
    if (seen === undefined) this.steps.set(nameOf(facts), { calls: 1, tokens: outputTokens });
    else {
      seen.calls += 1;
      seen.tokens += outputTokens;
    }
  }
}

const nameOf = ({ workflow, step }: SendRequest['facts']): string => `${workflow}\n${step}`;
