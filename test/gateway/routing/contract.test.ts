// What every routing policy must do, run over the registry and over one from outside.
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { routingPolicies, routingPolicy } from '../../../gateway/routing/index.ts';
import {
  defineRoutingPolicy,
  type RoutingPolicy,
  type RoutingView,
} from '../../../gateway/routing/policy.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

/** A policy as a user would write it, in a file of their own. */
const outside = defineRoutingPolicy({
  name: 'fewest-prefill-tokens',
  doc: 'Takes the replica with the fewest prompt tokens that wait for their first token.',
  source: 'this test',
  create(options) {
    if (Object.keys(options).length > 0)
      throw new Error(`policy fewest-prefill-tokens has no option ${Object.keys(options)[0]}`);
    return { route: (_arrival, { prefillTokens }) => prefillTokens.indexOf(Math.min(...prefillTokens)) };
  },
});

const policies: Record<string, RoutingPolicy> = { ...routingPolicies, [outside.name]: outside };

/** Keeps every replica but one idle, on purpose: the baseline of a study. */
const UNEVEN = ['always-busiest'];

type Step =
  | { kind: 'route'; session: number; turn: number; gapMs: number; hits: number | null }
  | { kind: 'open' }
  | { kind: 'close'; which: number }
  | { kind: 'first_token'; which: number }
  | { kind: 'ended'; which: number; outputTokens: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('route' as const),
        session: fc.nat(4),
        turn: fc.nat(3),
        gapMs: fc.integer({ min: 0, max: 100_000 }),
        hits: fc.option(fc.nat(400)),
      }),
    },
    fc.record({ kind: fc.constant('open' as const) }),
    fc.record({ kind: fc.constant('close' as const), which: fc.nat() }),
    fc.record({ kind: fc.constant('first_token' as const), which: fc.nat() }),
    fc.record({ kind: fc.constant('ended' as const), which: fc.nat(), outputTokens: fc.nat(500) }),
  ),
  { minLength: 1, maxLength: 40 },
);

interface Request {
  id: number;
  replicaId: number;
  tokens: number;
  hasToken: boolean;
}

/** A deep-frozen view: a policy that writes to it throws. */
function frozen(given: Parameters<typeof view>[0]): RoutingView {
  const made = view(given);
  const hits = made.prefixHits();
  if (hits !== null) for (const column of Object.values(hits)) Object.freeze(column);
  for (const column of Object.values(made)) if (Array.isArray(column)) Object.freeze(column);
  return Object.freeze(made);
}

/** Plays the steps to a new router; returns the row of each request and how many rows there were. */
function play(
  policy: RoutingPolicy,
  given: readonly Step[],
  role: 'both' | 'prefill' | 'decode',
): { row: number; rows: number }[] {
  const router = policy.create({}, { ...setup, role });
  const live: Request[] = [];
  const routed: { row: number; rows: number }[] = [];
  let ids = [0, 1];
  let nextId = 2;
  let atMs = 0;
  for (const step of given) {
    const request = 'which' in step ? live[step.which % Math.max(1, live.length)] : undefined;
    if (step.kind === 'open') ids = [...ids, nextId++];
    else if (step.kind === 'close' && ids.length > 1) {
      const [replicaId] = ids.slice(step.which % ids.length);
      ids = ids.filter(id => id !== replicaId);
      router.observe?.({ kind: 'left', replicaId: replicaId!, atMs });
    } else if (step.kind === 'first_token' && request !== undefined && !request.hasToken) {
      request.hasToken = true;
      router.observe?.({ kind: 'first_token', id: request.id, replicaId: request.replicaId, atMs });
    } else if (step.kind === 'ended' && request !== undefined) {
      live.splice(live.indexOf(request), 1);
      const { id, replicaId } = request;
      router.observe?.({ kind: 'ended', id, replicaId, atMs, outputTokens: step.outputTokens });
    } else if (step.kind === 'route') {
      atMs += step.gapMs;
      const prompt = [content('system', 48), content(`session ${step.session}`, 100 * (step.turn + 1))];
      const call = Object.freeze(
        arrival({ id: routed.length, session: `s${step.session}`, prompt: Object.freeze(prompt) }),
      );
      const at = (id: number, of: (each: Request) => number) =>
        live.filter(({ replicaId }) => replicaId === id).reduce((sum, each) => sum + of(each), 0);
      const seen = frozen({
        nowMs: atMs,
        ids,
        outstanding: ids.map(id => at(id, () => 1)),
        prefillTokens: ids.map(id => at(id, ({ hasToken, tokens }) => (hasToken ? 0 : tokens))),
        decodeTokens: ids.map(id => at(id, ({ hasToken, tokens }) => (hasToken ? tokens : 0))),
        running: ids.map(id => id % 3),
        kvUsedRatio: ids.map(id => (id % 5) / 5),
        hits: step.hits === null ? null : { device: ids.map(id => (id * step.hits!) % 400) },
      });
      const row = router.route(call, seen);
      routed.push({ row, rows: ids.length });
      live.push({ id: call.id, replicaId: ids[row]!, tokens: call.promptTokens, hasToken: false });
    }
  }
  return routed;
}

describe.each(Object.entries(policies))('routing policy %s', (name, policy) => {
  test('goes by its own name, with a line of documentation and its source', () => {
    expect(policy.name).toBe(name);
    expect(policy.doc).toMatch(/^[A-Z].*\.$/);
    expect(policy.source).not.toBe('');
  });

  test.each(['both', 'prefill', 'decode'] as const)(
    'returns a row of the view, for pools that grow and shrink, and changes nothing in it (%s)',
    role => {
      fc.assert(
        fc.property(steps, given => {
          for (const { row, rows } of play(policy, given, role)) {
            expect(Number.isInteger(row)).toBe(true);
            expect(row).toBeGreaterThanOrEqual(0);
            expect(row).toBeLessThan(rows);
          }
        }),
      );
    },
  );

  test('gives the same rows for the same steps, and two routers share no memory', () => {
    fc.assert(
      fc.property(steps, given => {
        expect(play(policy, given, 'both')).toEqual(play(policy, given, 'both'));
      }),
    );
  });

  test.skipIf(UNEVEN.includes(name))('uses every replica for many sessions that never end', () => {
    const router = policy.create({}, setup);
    const ids = [3, 4, 5, 6];
    const replicas = ids.map(id => `pool/${id}`);
    const outstanding = [0, 0, 0, 0];
    const prefillTokens = [0, 0, 0, 0];
    for (let i = 0; i < 400; i++) {
      const call = arrival({ session: `session ${i}` });
      const row = router.route(call, view({ nowMs: i, ids, replicas, outstanding, prefillTokens }));
      outstanding[row]! += 1;
      prefillTokens[row]! += call.promptTokens;
    }
    for (const count of outstanding) expect(count).toBeGreaterThan(60);
  });

  test('refuses an option it does not have', () => {
    expect(() => policy.create({ chioces: 2 }, setup)).toThrow(`policy ${name} has no option chioces`);
  });
});

describe('the registry', () => {
  const folder = new URL('../../../gateway/routing/', import.meta.url);
  const read = (file: string): string => readFileSync(new URL(file, folder), 'utf8');

  test('needs one line for a policy: a file beside it, named as the policy is', () => {
    const lines = read('registry.ts')
      .split('\n')
      .filter(line => line.startsWith('export'));
    expect(lines.length).toBe(Object.keys(routingPolicies).length);
    for (const name of Object.keys(routingPolicies)) {
      expect(lines.filter(line => line.includes(`'./${name}.ts'`))).toHaveLength(1);
      expect(read('index.ts')).not.toContain(name);
    }
  });

  test('has every policy of its folder', () => {
    const files = readdirSync(folder).filter(file =>
      read(file).includes('export default defineRoutingPolicy('),
    );
    expect(files.map(file => file.replace('.ts', '')).sort()).toEqual(Object.keys(routingPolicies).sort());
  });

  test('tells which policies there are when asked for one that is not', () => {
    expect(() => routingPolicy('fastest')).toThrow('unknown routing policy "fastest"');
    expect(() => routingPolicy('constructor')).toThrow('unknown routing policy "constructor"');
  });
});
