// What a router sees: its own counts at once, metrics as late as they are, KV events as late as they are.
import { expect, test } from 'vitest';
import { Balancer, type CacheEvents, type Signals } from '../../../gateway/routing/balancer.ts';
import {
  defineRoutingPolicy,
  type RoutingArrival,
  type RoutingEvent,
  type RoutingView,
} from '../../../gateway/routing/policy.ts';
import { arrival, content, setup } from '../../builders/routing.ts';

/** A policy that tells what it saw, and sends everything to the row it is told. */
function spy(look: (view: RoutingView, arrival: RoutingArrival) => unknown = () => null) {
  const seen: unknown[] = [];
  const events: RoutingEvent[] = [];
  const to = { row: 0 };
  const policy = defineRoutingPolicy({
    name: 'spy',
    doc: 'Tells what it saw.',
    source: 'this test',
    create: () => ({
      route(call, view) {
        seen.push(structuredClone(look(view, call)));
        return to.row;
      },
      observe: event => events.push(event),
    }),
  });
  return { policy, seen, events, to };
}

const balancerOf = (
  policy: ReturnType<typeof spy>['policy'],
  given: { delayMs?: number; cache?: CacheEvents | null; refresh?: (nowMs: number) => void } = {},
): Balancer => {
  const balancer = new Balancer({ policy, options: {}, setup, delayMs: 0, cache: null, ...given });
  for (const id of [0, 1, 2]) balancer.open(id, `pool/${id}`);
  return balancer;
};

const counts = (view: RoutingView) => [view.outstanding, view.prefillTokens, view.decodeTokens];

test('its own counts are exact: from the choice, over the first token, to the end', () => {
  const { policy, seen, to } = spy(counts);
  const balancer = balancerOf(policy);
  to.row = 1;
  balancer.choose(arrival({ id: 1 }), 0); // 100 tokens
  balancer.choose(arrival({ id: 2, prompt: [content('b', 40)] }), 1);
  balancer.firstToken(1, 2);
  balancer.choose(arrival({ id: 3 }), 3);
  expect(balancer.ended(1, 7, 4)).toBe(1);
  balancer.ended(2, 0, 4); // refused before its first token
  balancer.choose(arrival({ id: 4 }), 5);
  const none = [0, 0, 0];
  expect(seen).toEqual([
    [none, none, none],
    [[0, 1, 0], [0, 100, 0], none],
    [
      [0, 2, 0],
      [0, 40, 0],
      [0, 100, 0],
    ],
    [[0, 1, 0], [0, 100, 0], none],
  ]);
});

test('a router hears of first tokens and ends with what it then knows, and of replicas that leave', () => {
  const { policy, events } = spy();
  const balancer = balancerOf(policy);
  balancer.choose(arrival({ id: 5 }), 0);
  balancer.firstToken(5, 10);
  balancer.firstToken(5, 11);
  balancer.close(2, 15);
  balancer.ended(5, 33, 20);
  expect(events).toEqual([
    { kind: 'first_token', id: 5, replicaId: 0, atMs: 10 },
    { kind: 'left', replicaId: 2, atMs: 15 },
    { kind: 'ended', id: 5, replicaId: 0, atMs: 20, outputTokens: 33 },
  ]);
  expect(() => balancer.ended(5, 1, 21)).toThrow('was not sent');
});

test('a replica that closes takes its row with it; what it has ends without touching the others', () => {
  const { policy, seen, to } = spy(view => [view.ids, view.replicas, view.outstanding]);
  const balancer = balancerOf(policy);
  to.row = 1;
  balancer.choose(arrival({ id: 1 }), 0);
  to.row = 2;
  balancer.choose(arrival({ id: 2 }), 0);
  balancer.close(1, 1);
  to.row = 0;
  balancer.choose(arrival({ id: 3 }), 2);
  expect(balancer.ended(1, 5, 3)).toBe(1);
  balancer.ended(2, 5, 3);
  balancer.open(3, 'pool/3');
  balancer.choose(arrival({ id: 4 }), 4);
  expect(seen.slice(2)).toEqual([
    [
      [0, 2],
      ['pool/0', 'pool/2'],
      [0, 1],
    ],
    [
      [0, 2, 3],
      ['pool/0', 'pool/2', 'pool/3'],
      [1, 0, 0],
    ],
  ]);
});

const all =
  (value: number) =>
  (id: number): Signals => ({ running: value + id, waiting: value, kvUsedRatio: value / 100 });
const metrics = (view: RoutingView) => [view.ageMs, view.running, view.waiting, view.kvUsedRatio];

test('a scrape is seen when it has come, with the age it has then', () => {
  const { policy, seen } = spy(metrics);
  const balancer = balancerOf(policy, { delayMs: 5 });
  balancer.scraped(0, all(1));
  balancer.scraped(10, all(2));
  for (const ms of [4, 5, 14, 15, 40]) balancer.choose(arrival(), ms);
  const none = [0, 0, 0];
  expect(seen).toEqual([
    [Number.POSITIVE_INFINITY, none, none, none],
    [5, [1, 2, 3], [1, 1, 1], [0.01, 0.01, 0.01]],
    [14, [1, 2, 3], [1, 1, 1], [0.01, 0.01, 0.01]],
    [5, [2, 3, 4], [2, 2, 2], [0.02, 0.02, 0.02]],
    [30, [2, 3, 4], [2, 2, 2], [0.02, 0.02, 0.02]],
  ]);
});

test('nobody is asked for metrics that no policy reads', () => {
  let asked = 0;
  const refresh = () => void asked++;
  const blind = balancerOf(spy(counts).policy, { refresh });
  blind.choose(arrival(), 1);
  expect([asked, blind.wantsScrapes]).toEqual([0, false]);
  const keen = balancerOf(spy(metrics).policy, { refresh });
  keen.choose(arrival(), 1);
  expect([asked, keen.wantsScrapes]).toEqual([1, true]); // once a decision, whatever columns are read
});

test('KV events are asked for once a request, and only by those who ask', () => {
  const asked: number[] = [];
  const cache: CacheEvents = {
    delayMs: 0,
    device(id) {
      asked.push(id);
      return id * 16;
    },
    behind: () => ({ host: 32, disk: 0 }),
  };
  balancerOf(spy(counts).policy, { cache }).choose(arrival(), 0);
  expect(asked).toEqual([]);
  const { policy, seen } = spy(view => {
    const once = view.prefixHits();
    return [once, view.prefixHits() === once];
  });
  balancerOf(policy, { cache }).choose(arrival(), 0);
  expect(asked).toEqual([0, 1, 2]);
  expect(seen[0]).toEqual([{ device: [0, 16, 32], host: [32, 32, 32], disk: [0, 0, 0] }, true]);
});

test('what a cache has stored is known so long after it was stored, for prompts that go beyond what it had', () => {
  const shared = content('system', 64);
  const has = new Map<number, number>(); // tokens of any prompt
  const cache: CacheEvents = { delayMs: 20, device: id => has.get(id) ?? 0 };
  const { policy, seen, to } = spy(view => view.prefixHits()!.device);
  const balancer = balancerOf(policy, { cache });
  to.row = 1;
  const first = arrival({ id: 1, prompt: [shared, content('a', 50)] });
  balancer.choose(first, 0);
  balancer.scheduled(1, first, 16, 10); // 16 were cached before; the rest since 10 ms
  has.set(1, 96);
  const sibling = () => arrival({ prompt: [shared, content('b', 50)] });
  const stranger = arrival({ prompt: [content('other', 100)] });
  for (const [call, ms] of [
    [sibling(), 15],
    [stranger, 16],
    [sibling(), 29],
    [sibling(), 30],
  ] as const)
    balancer.choose(call, ms);
  expect(seen.slice(1)).toEqual([
    [0, 16, 0],
    [0, 96, 0], // not the content that was stored just now
    [0, 16, 0],
    [0, 96, 0],
  ]);
});

test('a row that is not there is an error of the policy', () => {
  const { policy, to } = spy();
  to.row = 3;
  expect(() => balancerOf(policy).choose(arrival(), 0)).toThrow('the router chose row 3 of 3 replicas');
});
