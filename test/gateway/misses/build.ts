// A simulated run that is told why its caches missed, with everything that was sent; and a second, slow opinion: the same
// question answered token by token, by looking through all that was computed before.
import type { DeploymentSpec } from '../../../engines/engine.ts';
import { prepare } from '../../../engines/prepare.ts';
import { Journal } from '../../../gateway/journal.ts';
import { type MissOptions, missLedger } from '../../../gateway/misses/layer.ts';
import { cacheRules } from '../../../gateway/misses/rules.ts';
import { keyText } from '../../../scenarios/base/key.ts';
import type { Plan } from '../../../scenarios/formats/plan.ts';
import type { Run } from '../../../scenarios/formats/prompt.ts';
import type { CacheMiss, MissReason } from '../../../scenarios/formats/record.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import { PassingLayer } from '../../../scenarios/workflows/passing-layer.ts';
import type { MakeLayer } from '../../../scenarios/workflows/stack.ts';
import type { CallResult, LayerSetup, SendRequest } from '../../../scenarios/workflows/world.ts';
import { createCluster } from '../../../sim/create-cluster.ts';
import { layersOf } from '../../../sim/layers.ts';
import { createCluster as createReference } from '../../../sim/reference/cluster.ts';
import { Simulation } from '../../../sim/simulate.ts';
import { deploymentOf, HEADER } from '../../builders/worlds.ts';

export interface Seen {
  request: SendRequest;
  result: CallResult;
  endMs: number;
}

class Spy extends PassingLayer {
  readonly seen: Seen[];
  private readonly sent = new Map<number, SendRequest>();

  constructor(seen: Seen[], setup: LayerSetup) {
    super(setup);
    this.seen = seen;
  }
  override send(ticket: number, request: SendRequest): void {
    this.sent.set(ticket, request);
    super.send(ticket, request);
  }
  override callEnded(ticket: number, result: CallResult, nowMs: number): void {
    this.seen.push({ request: this.sent.get(ticket)!, result, endMs: nowMs });
    super.callEnded(ticket, result, nowMs);
  }
}

export interface Explained {
  run: RunOutput;
  /** In order of their end. */
  seen: Seen[];
  evictedBlocks: number;
  warnings: string[];
}

/** Runs to the end; `reference`: on the slow engine. */
export function explained(
  plan: Plan,
  deployment: string | DeploymentSpec,
  { reference = false, ...options }: Partial<MissOptions> & { reference?: boolean } = {},
): Explained {
  const spec = typeof deployment === 'string' ? deploymentOf(deployment) : deployment;
  const { poolOf } = prepare(plan, spec);
  const ledger = missLedger({ poolOf, rules: cacheRules(spec), ...options });
  const cluster = (reference ? createReference : createCluster)(spec, { seed: plan.seed });
  const seen: Seen[] = [];
  const spy: MakeLayer = setup => new Spy(seen, setup);
  const layers = layersOf(plan, spec, new Journal(true), ledger.layer);
  layers.splice(layers.indexOf(ledger.layer), 0, spy);
  const frontEnds = new Map(spec.pools.map(pool => [pool.name, pool.frontEnd]));
  const simulation = new Simulation({ plan, cluster, poolOf, frontEnds, header: HEADER, layers });
  while (simulation.step(5000));
  const evictedBlocks = cluster.counters().reduce((sum, each) => sum + each.evictedBlocks, 0);
  return { run: simulation.finish(), seen, evictedBlocks, warnings: ledger.warnings() };
}

/** `new 30 input`, one line a miss. */
export const lines = (misses: readonly CacheMiss[] | undefined): string[] =>
  (misses ?? []).map(({ reason, tokens, segment, detail }) =>
    [reason, tokens, segment, ...(detail === null ? [] : [`(${detail})`])].join(' '),
  );

/** Tokens by reason over all calls. */
export function byReason({ run }: Explained): Partial<Record<MissReason, number>> {
  const sums: Partial<Record<MissReason, number>> = {};
  for (const { misses = [] } of run.calls)
    for (const { reason, tokens } of misses) sums[reason] = (sums[reason] ?? 0) + tokens;
  return sums;
}

const tokensOf = (runs: readonly Run[]): string[] =>
  runs.flatMap(({ key, from, tokens }) =>
    Array.from({ length: tokens }, (_, i) => `${keyText(key)}.${from + i}`),
  );

/** What a place has computed by some time: a prompt from its first token on, an answer from its end on. */
interface Sequence {
  of: Seen;
  replica: string | null;
  tokens: string[];
  sinceMs: number;
}

export function sequencesOf(seen: readonly Seen[]): Sequence[] {
  return seen.flatMap(each => {
    const { request, result, endMs } = each;
    const { call } = request;
    const { replica, firstTokenMs, outputTokens, cachedTokens, computedTokens } = result;
    const prompt = tokensOf(call.prompt);
    const begun = prompt.slice(0, (cachedTokens ?? 0) + (computedTokens ?? 0));
    if (firstTokenMs === null) return [{ of: each, replica, tokens: begun, sinceMs: endMs }];
    const answer = tokensOf(call.output).slice(0, Math.max(0, outputTokens - 1));
    return [
      { of: each, replica, tokens: prompt, sinceMs: firstTokenMs },
      { of: each, replica, tokens: [...prompt, ...answer], sinceMs: endMs },
    ];
  });
}

const commonOf = (a: readonly string[], b: readonly string[]): number => {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return i;
};

/** Content that grows counts from when its first token was there: the key, without the place in it. */
const keyOf = (token: string): string => token.split('.')[0]!;

/** What may be said of each missed token of a call, for pools of vLLM. */
export function allowed(of: Seen, sequences: readonly Sequence[], blockTokens: number): MissReason[][] {
  const { request, result } = of;
  const tokens = tokensOf(request.call.prompt);
  const cachedTokens = result.cachedTokens as number;
  const atMs = result.scheduledMs as number;
  const before = sequences.filter(each => each.of !== of && each.sinceMs <= atMs);
  const longest = (some: readonly Sequence[]): number =>
    Math.max(0, ...some.map(each => commonOf(tokens, each.tokens)));
  const whole = (known: number): number => {
    const most = Math.min(known, tokens.length - 1);
    return most - (most % blockTokens);
  };
  const here = longest(before.filter(({ replica }) => replica === result.replica));
  const any = longest(before);
  const missed = tokens.slice(cachedTokens);
  const wanted = new Set(missed.map(keyOf));
  const content = new Set<string>();
  for (const each of before)
    for (const token of each.tokens) if (wanted.has(keyOf(token))) content.add(keyOf(token));
  return missed.map((token, i) => {
    const at = i + cachedTokens;
    if (at < whole(here)) return ['evicted'];
    if (at < whole(any)) return ['elsewhere'];
    if (at < any) return ['partial'];
    return content.has(keyOf(token)) ? ['changed', 'new'] : ['new'];
  });
}
