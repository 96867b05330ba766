// A small space of deployments for a scenario, with everything that a search for the cheapest needs.
import { join } from 'node:path';
import { runGrid } from '../../lab/grid/run-grid.ts';
import { baseOfScenario, spaceOf, writeBase } from '../../lab/size/base.ts';
import { type Bound, boundsOf } from '../../lab/size/bounds.ts';
import type { Evaluation } from '../../lab/size/evaluate.ts';
import type { Rung } from '../../lab/size/search.ts';
import { type Setup, setupOf } from '../../lab/size/setup.ts';
import { candidateOf, groupsOf } from '../../lab/size/space.ts';
import type { Stretch } from '../../lab/size/traffic.ts';
import { write } from '../cli/run.ts';

export interface Sizing {
  readonly setup: Setup;
  readonly bounds: readonly Bound[];
  /** Where the base is. */
  readonly path: string;
}

export interface Sized {
  readonly slo?: readonly string[];
  readonly load?: number;
  readonly gpu?: string;
  readonly tp?: string;
  readonly replicas?: string;
  readonly split?: boolean;
  readonly routing?: string;
}

/** `text`: a scenario of one model, or the name of a library entry; `folder`: where it and the base are written. */
export function sizingOf(
  text: string,
  folder: string,
  {
    slo = [],
    load = 1,
    gpu = 'l40s,rtx-pro-6000',
    tp = '1,2',
    replicas = '1..6',
    split = false,
    routing = 'round-robin',
  }: Sized = {},
): Sizing {
  const scenario = text.includes('\n') ? join(folder, write(folder, 'scenario.yaml', text)) : text;
  const setup = setupOf(
    {
      scenario,
      deployment: undefined,
      slo: [...slo],
      load,
      seeds: 5,
      jobs: 1,
      set: [],
      seed: undefined,
      out: undefined,
      strict: false,
      json: false,
      quiet: true,
      timing: undefined,
      warm: undefined,
      concurrent: undefined,
      sessions: undefined,
      'gap-scale': undefined,
      'scale-tokens': undefined,
    } as unknown as Parameters<typeof setupOf>[0],
    { run: runGrid, isStopped: () => false },
  );
  const base = baseOfScenario(setup.context, undefined);
  const options = { gpu, tp, replicas, split, routing, vary: [], price: [] };
  const known = routing.split(',');
  const path = writeBase(base, folder);
  const bounds = boundsOf(groupsOf(spaceOf(base, options, known)), path, setup.context, load);
  return { setup, bounds, path };
}

/** Rungs with so many calls in a stretch of each: shorter than those of the command. */
export const shortRungs = (callsPerSec: number, warmMs: number, seeds: number): [Rung, Rung, Rung] => {
  const stretch = (calls: number): Stretch => ({ warmMs, spanMs: Math.ceil((calls / callsPerSec) * 1000) });
  return [
    { name: 'short', stretch: stretch(200), seeds: 1 },
    { name: 'middle', stretch: stretch(500), seeds: Math.min(3, seeds) },
    { name: 'long', stretch: stretch(1000), seeds },
  ];
};

/** The cheapest candidate that surely keeps its promises, by judging all of them in the order of cost. */
export async function cheapestKept(
  { setup, bounds, path }: Sizing,
  { stretch, seeds }: Rung,
): Promise<{ candidates: number; best: Evaluation | null }> {
  const all = bounds
    .filter(({ impossible }) => impossible === null)
    .flatMap(bound =>
      Array.from({ length: bound.group.replicas.max }, (_, i) =>
        candidateOf(bound.group, i + 1, bound, path),
      ),
    )
    .toSorted((a, b) => a.usdPerHour! - b.usdPerHour!);
  for (const candidate of all) {
    const [found] = await setup.evaluator.evaluate([{ candidate, stretch, seeds }]);
    if (found!.verdict === 'kept') return { candidates: all.length, best: found! };
  }
  return { candidates: all.length, best: null };
}
