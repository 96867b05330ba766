// Builders of what a router sees: each test names what it is about, all else has a default.
import type { PrefixHits, RouterSetup, RoutingArrival, RoutingView } from '../../gateway/routing/policy.ts';
import { textKey } from '../../scenarios/base/key.ts';
import { type Run, runTokens } from '../../scenarios/formats/prompt.ts';

/** `tokens` tokens of the content of this name, from its token `from` on. */
export const content = (name: string, tokens: number, from = 0): Run => ({
  key: textKey(name),
  from,
  tokens,
});

export const setup: RouterSetup = {
  role: 'both',
  blockTokens: 16,
  kvTokens: 400_000,
  maxBatchedTokens: 8192,
  maxSequences: 256,
};

let lastId = 0;

/** A request; its prompt is 100 tokens of its session's own, and it has an id and a key that no other has. */
export function arrival(given: Partial<RoutingArrival> = {}): RoutingArrival {
  const { id = ++lastId, session = 'session', prompt = [content(session, 100)] } = given;
  return {
    id,
    key: textKey(`call ${id}`),
    session,
    sessionKey: textKey(session),
    workflow: 'workflow',
    tenant: null,
    step: 'step',
    priority: 0,
    prompt,
    promptTokens: runTokens(prompt),
    maxOutputTokens: null,
    ...given,
  };
}

/** A view of as many idle replicas as the longest column given has rows, or two; their ids are not their rows. */
export function view({
  hits = null,
  ...given
}: Partial<Omit<RoutingView, 'prefixHits'>> & { hits?: Partial<PrefixHits> | null } = {}): RoutingView {
  const columns = [...Object.values(given), ...Object.values(hits ?? {})].filter(Array.isArray);
  const count = columns.length === 0 ? 2 : Math.max(...columns.map(column => column.length));
  const column = <T>(of: (row: number) => T): T[] => Array.from({ length: count }, (_, row) => of(row));
  const zeros = column(() => 0);
  const { ids = column(row => row + 10) } = given;
  return {
    nowMs: 0,
    replicas: ids.map(id => `pool/${id}`),
    ids,
    outstanding: zeros,
    prefillTokens: zeros,
    decodeTokens: zeros,
    ageMs: 0,
    waiting: zeros,
    running: zeros,
    kvUsedRatio: zeros,
    prefixHits: () => (hits === null ? null : { device: zeros, host: zeros, disk: zeros, ...hits }),
    ...given,
  };
}
