// The first thing that happened otherwise in two simulations of the same plan. What comes after it may all follow from it.
import { showMs } from '../../reports/numbers.ts';
import type { FirstDifference } from '../../scenarios/formats/comparison.ts';
import type { StoredInputs } from '../../scenarios/formats/stored-inputs.ts';
import { runGrid } from '../grid/run-grid.ts';
import type { CallEvents, RunEvents, StepEvents } from './events-measure.ts';
import { caseOf, withFiles } from './side.ts';

/** A fact about a call or step: when it became one, and what it was. In the order in which they come about. */
interface Fact<T> {
  readonly name: string;
  atMs(of: T): number | null;
  of(of: T): string | number | null;
}

const time = <T>(name: string, atMs: (of: T) => number | null): Fact<T> => ({ name, atMs, of: atMs });

const CALL_FACTS: readonly Fact<CallEvents>[] = [
  time('it was wanted', call => call.plannedMs),
  { name: 'model', atMs: ({ sentMs, plannedMs }) => sentMs ?? plannedMs, of: ({ model }) => model },
  time('it was sent', call => call.sentMs),
  { name: 'pool', atMs: ({ sentMs }) => sentMs, of: ({ pool }) => pool },
  { name: 'replica', atMs: ({ sentMs }) => sentMs, of: ({ replica }) => replica },
  time('the engine took it up', call => call.scheduledMs),
  { name: 'prompt tokens', atMs: ({ scheduledMs }) => scheduledMs, of: ({ promptTokens }) => promptTokens },
  { name: 'cached tokens', atMs: ({ scheduledMs }) => scheduledMs, of: ({ cachedTokens }) => cachedTokens },
  time('its first token came', call => call.firstTokenMs),
  time('it ended', call => call.endMs),
  { name: 'output tokens', atMs: ({ endMs }) => endMs, of: ({ outputTokens }) => outputTokens },
  { name: 'outcome', atMs: ({ endMs }) => endMs, of: ({ outcome, error }) => error ?? outcome },
];

const STEP_FACTS: readonly Fact<StepEvents>[] = [
  time('it started', step => step.startMs),
  time('it ended', step => step.endMs),
  { name: 'status', atMs: ({ endMs }) => endMs, of: ({ status }) => status },
];

interface Found extends FirstDifference {
  readonly rank: number;
}

const isSooner = (a: Found, b: Found | null): boolean => {
  if (b === null || a.atMs !== b.atMs) return b === null || a.atMs < b.atMs;
  if (a.rank !== b.rank) return a.rank < b.rank;
  return a.session === b.session ? (a.call ?? '') < (b.call ?? '') : a.session < b.session;
};

const earliest = (times: readonly (number | null | undefined)[]): number =>
  times.reduce<number>(
    (least, each) => (each === null || each === undefined ? least : Math.min(least, each)),
    Number.POSITIVE_INFINITY,
  );

function told<T>({ name, atMs, of }: Fact<T>, base: T, candidate: T): string {
  if (of !== atMs) return `${name} was ${of(base) ?? 'none'}, is ${of(candidate) ?? 'none'}`;
  const [was, is] = [atMs(base), atMs(candidate)];
  if (was === null || is === null) return `${name} at ${showMs(was ?? is)} in one of the two only`;
  return `${name} ${showMs(Math.abs(is - was))} ${is > was ? 'later' : 'earlier'}`;
}

function firstOf<T extends { session: string; call: string }>(
  base: readonly T[],
  candidate: readonly T[],
  facts: readonly Fact<T>[],
): Found | null {
  const keyOf = ({ session, call }: T): string => `${session}\n${call}`;
  const others = new Map(candidate.map(each => [keyOf(each), each]));
  let first: Found | null = null;
  const offer = ({ session, call }: T, found: Pick<Found, 'atMs' | 'rank' | 'text'>): void => {
    const whole = { session, call, ...found };
    if (isSooner(whole, first)) first = whole;
  };
  const isAlone = (each: T, text: string): void =>
    offer(each, { atMs: facts[0]!.atMs(each) ?? 0, rank: -1, text });
  for (const each of base) {
    const other = others.get(keyOf(each));
    others.delete(keyOf(each));
    if (other === undefined) {
      isAlone(each, 'it is in the baseline only');
      continue;
    }
    for (const [rank, fact] of facts.entries()) {
      if (fact.of(each) === fact.of(other)) continue;
      offer(each, {
        atMs: earliest([fact.atMs(each), fact.atMs(other)]),
        rank,
        text: told(fact, each, other),
      });
    }
  }
  for (const each of others.values()) isAlone(each, 'it is in the candidate only');
  return first;
}

/** The earliest difference of two runs; null: there is none. */
export function firstDifferenceOf(base: RunEvents, candidate: RunEvents): FirstDifference | null {
  const found = [
    firstOf(base.calls, candidate.calls, CALL_FACTS),
    firstOf(base.steps, candidate.steps, STEP_FACTS),
  ].filter(each => each !== null);
  const [first] = found.toSorted((a, b) => (isSooner(a, b) ? -1 : 1));
  if (first === undefined) return null;
  const { rank: _, ...difference } = first;
  return difference;
}

const EVENTS = new URL('./events-measure.ts', import.meta.url).href;

/** Simulates both with this seed; null: nothing differs, or one could not be simulated. */
export async function firstDifference(
  base: StoredInputs,
  candidate: StoredInputs,
  seed: number | string,
  jobs?: number,
): Promise<FirstDifference | null> {
  const outcomes = await withFiles([base, candidate], files =>
    runGrid(
      [base, candidate].map((inputs, i) => caseOf(files[i]!, inputs, seed, EVENTS)),
      { jobs },
    ),
  );
  const [one, other] = outcomes.map(outcome =>
    outcome?.ok === true ? (outcome.measured as RunEvents) : null,
  );
  return one == null || other == null ? null : firstDifferenceOf(one, other);
}
