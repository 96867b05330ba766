// `size` against judging every candidate, on a space small enough for that: 2 GPUs, 2 parallelisms, 2 routers, 6 counts.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { searchRungs } from '../../lab/size/rungs.ts';
import { search } from '../../lab/size/search.ts';
import { cheapestKept, sizingOf } from '../builders/sizing.ts';

export interface Optimum {
  readonly candidates: number;
  readonly found: string;
  readonly best: string;
  /** Cost of what was found over the optimum's. */
  readonly ratio: number;
}

async function optimum(): Promise<Optimum> {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const sizing = sizingOf('mixed-fleet', folder, {
    load: 25,
    gpu: 'h100-80gb-sxm,h200-141gb-sxm',
    tp: '1,2',
    routing: 'session-affinity,least-outstanding',
  });
  const { evaluator, rungs } = sizing.setup;
  const { bounds, path: base } = sizing;
  const { ranking } = await search({
    evaluator,
    bounds,
    base,
    rungs: searchRungs(rungs),
    budgetUsdPerHour: null,
    tell: () => {},
  });
  const [found] = ranking;
  const { best, candidates } = await cheapestKept(sizing, rungs[2]);
  rmSync(folder, { recursive: true });
  if (found?.usdPerHour == null || best?.usdPerHour == null) throw new Error('nothing keeps the promises');
  return {
    candidates,
    found: found.trial.candidate.name,
    best: best.trial.candidate.name,
    ratio: found.usdPerHour / best.usdPerHour,
  };
}

process.stdout.write(`${JSON.stringify(await optimum())}\n`);
