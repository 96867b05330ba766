// `bench-policies`: the same plan under every policy of a kind, over a range of loads.
//
//   1. size the scenario   2. find the capacity   3. policies x loads x seeds   4. compare, publish
import type { PolicyChoice } from '../../engines/engine.ts';
import { loadDeployment, type ReadyRun, readyRun } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { isPath, loadRouting } from '../../gateway/routing/outside.ts';
import { publishPolicyBench } from '../../reports/bench/publish.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import type { LoadOptions } from '../../scenarios/cli/load.ts';
import {
  commandLine,
  deploymentSet,
  loadOptionsOf,
  loadRun,
  outFolder,
  type RunOptions,
  runName,
  withRun,
} from '../../scenarios/cli/run-options.ts';
import { type Command, onInterrupt, ProgressLine, printJson, say } from '../../scenarios/cli/terminal.ts';
import { version } from '../../scenarios/cli/version.ts';
import {
  POLICY_KINDS,
  type PolicyBenchResult,
  type PolicyKind,
} from '../../scenarios/formats/policy-bench.ts';
import { RESULT_SCHEMA_VERSION } from '../../scenarios/formats/result.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';
import type { GridCase, Outcome } from '../grid/case.ts';
import { DEFAULT_SLO_TEXT, isJudgedByDefault } from '../grid/figures.ts';
import { hasLoad, sizedTo } from '../grid/load-factor.ts';
import { CaseRunner } from '../grid/run-case.ts';
import { runGrid } from '../grid/run-grid.ts';
import { seedsFrom } from '../grid/seeds.ts';
import { type Capacity, findCapacity } from './capacity.ts';
import { compare, type PolicyRuns } from './compare.ts';
import { BENCHED_KINDS, type BenchedKind } from './kinds.ts';

interface BenchOptions extends RunOptions {
  kind: PolicyKind;
  policies: string;
  loads: string;
  seeds: number;
  calls: number;
  jobs: number | undefined;
}

/** Share of good calls that a planner promises. */
const TARGET_RATIO = 0.95;

export const benchPoliciesCommand: Command<BenchOptions> = {
  builder: yargs =>
    withRun(yargs)
      .option('kind', { choices: POLICY_KINDS, default: 'routing' as const, describe: 'policies of what' })
      .option('policies', {
        type: 'string',
        default: 'all',
        describe: 'names, with commas between them, or files of routing policies; the baseline always runs',
      })
      .option('loads', {
        type: 'string',
        default: '0.3..1.2',
        describe: 'offered load over capacity: a list (0.5,0.9), or from..to in ten even steps',
      })
      .option('seeds', { type: 'number', default: 10, describe: 'runs of each policy at each load' })
      .option('calls', {
        type: 'number',
        default: 5000,
        describe: 'calls of a run: sessions are scaled to it',
      })
      .option('jobs', { type: 'number', describe: 'threads [one a core]' })
      .example(
        '$0 bench-policies mixed-fleet -d 8xh200-mistral-small-4',
        'every router, ten loads, ten seeds',
      )
      .example(
        '$0 bench-policies S -d D --policies prefix-cache,round-robin --loads 0.5,0.8,1',
        'two of them against the baseline',
      ),
  handler: async options => {
    const stopped = { now: false };
    const ignore = onInterrupt(() => {
      stopped.now = true;
    });
    try {
      process.exitCode = await bench(options, stopped);
    } finally {
      ignore();
    }
  },
};

async function bench(options: BenchOptions, stopped: { now: boolean }): Promise<number> {
  const loadRatios = loadsOf(options.loads);
  for (const name of ['seeds', 'calls'] as const) {
    if (!(Number.isInteger(options[name]) && options[name] > 0))
      throw new UserError(`--${name} ${options[name]}: expected a whole number above 0`);
  }
  const kind = BENCHED_KINDS[options.kind];
  if (options.kind === 'routing' && options.routing !== undefined)
    throw new UserError('--routing says what is compared here', {
      hint: `name it in --policies, e.g. --policies all,${options.routing}`,
    });
  const docs = await policiesOf(options, kind);
  const names = [...docs.keys()];
  // 1.
  const loaded = loadRun(options);
  const deployed = loadDeployment(options.deployment, routingPolicies, deploymentSet(options.set));
  const ready = readyRun(loaded, deployed, options);
  if (!hasLoad(ready.plan))
    throw new UserError('every session of this scenario starts at once, so there is no load to vary', {
      hint: 'give its cohorts an arrival process, e.g. --set traffic.0.arrival="{ poisson: { rate: 1/s } }"',
    });
  const out = outFolder(options, runName(ready), 'policies');
  const loading = loadOptionsOf(options);
  const set = [...(loading.set ?? []), ...sizedTo(loaded, options.calls)];
  const caseOf = caseMaker({ options, ready, kind, loading: { ...loading, set } });
  // 2.
  const progress = new ProgressLine(options);
  progress.show(() => 'finding the capacity');
  const seeds = seedsFrom(ready.plan.seed, options.seeds);
  const capacity = await findCapacity(caseOf(kind.baseline, seeds[0]!, 1), new CaseRunner());
  // 3.
  const places = seeds.flatMap(seed =>
    loadRatios.flatMap(loadRatio => names.map(policy => ({ seed, loadRatio, policy }))),
  );
  const cases = places.map(({ seed, loadRatio, policy }) =>
    caseOf(policy, seed, loadRatio * capacity.loadFactor),
  );
  const outcomes = await runGrid(cases, {
    jobs: options.jobs,
    onDone: done => progress.show(() => `${done} of ${cases.length} runs`),
    isStopped: () => stopped.now,
  });
  progress.clear();
  // 4.
  const whole = wholeSeeds(outcomes, seeds, loadRatios.length * names.length);
  if (whole.length === 0) {
    process.stderr.write('interrupted before every policy had run with one seed: nothing to compare\n');
    return EXIT.interrupted;
  }
  const runs = gather({ names, loadRatios, outcomes, seeds: whole.length });
  const result = resultOf({ options, kind, ready, capacity, loadRatios, seeds: whole, runs, docs });
  const published = await publishPolicyBench(result, { out });
  if (options.json) printJson(result);
  say(options, published.summaryText);
  if (stopped.now) return EXIT.interrupted;
  return exitCodeOf(result, options);
}

/** A policy that refuses this deployment is no failure where nobody asked for it by name. */
function exitCodeOf({ leftOut }: PolicyBenchResult, { policies }: BenchOptions): number {
  const codes = leftOut.map(({ exitCode }) => exitCode);
  const serious = policies === 'all' ? codes.filter(code => code !== EXIT.badInput) : codes;
  return serious[0] ?? EXIT.ok;
}

/** The policies that were asked for and their one line of doc; a file of one's own is loaded, and so checked. */
async function policiesOf(
  { policies, kind: name }: BenchOptions,
  { policies: known, baseline }: BenchedKind,
): Promise<Map<string, string>> {
  const docs = new Map<string, string>();
  const all = Object.keys(known);
  for (const wanted of policies.split(',').flatMap(each => (each.trim() === 'all' ? all : each.trim()))) {
    if (name === 'routing' && isPath(wanted)) docs.set(wanted, (await loadRouting(wanted)).doc);
    else if (Object.hasOwn(known, wanted)) docs.set(wanted, known[wanted]!.doc);
    else
      throw new UserError(`--policies: unknown policy "${wanted}"`, {
        hint: didYouMean(wanted, all) ?? `known: ${all.join(', ')}`,
      });
  }
  return new Map([[baseline, known[baseline]!.doc], ...docs]);
}

const LOAD_STEPS = 10;

/** `0.5,0.9`, `50%,90%` or `0.3..1.2`, ascending. */
export function loadsOf(text: string): number[] {
  const read = (part: string): number => {
    const [, digits, percent] = /^(\d*\.?\d+)(%?)$/.exec(part.trim()) ?? [];
    const load = Number(digits) / (percent === '%' ? 100 : 1);
    if (load > 0) return load;
    throw new UserError(`--loads ${text}: "${part.trim()}" is no load`, {
      hint: 'shares of capacity above 0: 0.5,0.9 or 50%,90% or 0.3..1.2',
    });
  };
  const [from, to] = text.split('..');
  if (from === undefined || to === undefined)
    return [...new Set(text.split(',').map(read))].toSorted((a, b) => a - b);
  const [low, high] = [read(from), read(to)];
  if (low >= high) throw new UserError(`--loads ${text}: expected from..to with to above from`);
  // Rounded, so that a tenth is written as one.
  return Array.from({ length: LOAD_STEPS }, (_, i) =>
    Number((low + ((high - low) * i) / (LOAD_STEPS - 1)).toPrecision(12)),
  );
}

type CaseOf = (policy: string, seed: number | string, loadFactor: number) => GridCase;

/** A policy has the options that the deployment gives it, where that is its own. */
const choiceOf = (kind: BenchedKind, { deployment }: ReadyRun, policy: string): PolicyChoice => {
  const own = kind.chosen(deployment);
  return own?.policy === policy ? own : { policy, options: {} };
};

const caseMaker =
  (from: { options: BenchOptions; ready: ReadyRun; kind: BenchedKind; loading: LoadOptions }): CaseOf =>
  (policy, seed, loadFactor) => {
    const { options, ready, kind, loading } = from;
    const routing =
      options.routing === undefined ? {} : { routing: { policy: options.routing, options: {} } };
    const change = { ...routing, ...kind.change(choiceOf(kind, ready, policy)) };
    return {
      scenario: { input: options.scenario, options: { ...loading, seed } },
      deployment: { input: options.deployment, set: deploymentSet(options.set), change },
      loadFactor,
    };
  };

/** The seeds of which every run was made. */
const wholeSeeds = (
  outcomes: readonly (Outcome | null)[],
  seeds: readonly (number | string)[],
  runsOfSeed: number,
): (number | string)[] =>
  seeds.filter((_, i) => !outcomes.slice(i * runsOfSeed, (i + 1) * runsOfSeed).includes(null));

interface Gathered {
  figures: Map<string, PolicyRuns['figures']>;
  leftOut: PolicyBenchResult['leftOut'];
}

/** Runs by policy, load and seed; a policy with a run that failed is left out, and said so. */
function gather(of: {
  names: readonly string[];
  loadRatios: readonly number[];
  outcomes: readonly (Outcome | null)[];
  seeds: number;
}): Gathered {
  const { names, loadRatios, outcomes, seeds } = of;
  const figures: Gathered['figures'] = new Map();
  const leftOut: Gathered['leftOut'] = [];
  for (const [i, policy] of names.entries()) {
    const rows = loadRatios.map((_, load) =>
      Array.from(
        { length: seeds },
        (_, seed) => outcomes[(seed * loadRatios.length + load) * names.length + i]!,
      ),
    );
    const failures = rows.flat().flatMap(each => (each.ok ? [] : [each.failure]));
    const [first] = failures;
    if (first === undefined)
      figures.set(
        policy,
        rows.map(row => row.flatMap(each => (each.ok ? [each.figures] : []))),
      );
    else {
      const { message: reason, hint, exitCode } = first;
      leftOut.push({ policy, reason, hint, runs: failures.length, exitCode });
    }
  }
  return { figures, leftOut };
}

function resultOf(of: {
  options: BenchOptions;
  kind: BenchedKind;
  ready: ReadyRun;
  capacity: Capacity;
  loadRatios: number[];
  seeds: (number | string)[];
  runs: Gathered;
  docs: ReadonlyMap<string, string>;
}): PolicyBenchResult {
  const { options, kind, ready, capacity, loadRatios, runs } = of;
  const { baseline } = kind;
  const base = runs.figures.get(baseline);
  if (base === undefined) {
    const failed = runs.leftOut.find(({ policy }) => policy === baseline);
    throw new UserError(`the baseline ${baseline} did not run: ${failed?.reason}`, {
      hint: failed?.hint ?? null,
      exitCode: failed?.exitCode ?? EXIT.internal,
    });
  }
  // Recorded sessions at recorded instants are the same for every seed: one run of them, not ten.
  const isOneRun = base.every(row => row.every(each => JSON.stringify(each) === JSON.stringify(row[0])));
  const seeds = isOneRun ? of.seeds.slice(0, 1) : of.seeds;
  const policyRuns = [...runs.figures].map(
    ([policy, figures]): PolicyRuns => ({
      policy,
      doc: of.docs.get(policy)!,
      options: choiceOf(kind, ready, policy).options,
      figures: figures.map(row => row.slice(0, seeds.length)),
    }),
  );
  const warnings = [...ready.warnings];
  if (isOneRun && of.seeds.length > 1)
    warnings.push('every seed gives the same run here, so differences have no interval');
  const slo = isJudgedByDefault(ready.plan) ? DEFAULT_SLO_TEXT : 'the SLOs of the scenario';
  return {
    schemaVersion: RESULT_SCHEMA_VERSION,
    kind: 'policy-bench',
    header: {
      tool: { name: 'agent-windtunnel', version },
      scenario: { name: ready.plan.name, sha256: ready.plan.sha256 },
      deployment: { name: ready.deployment.name, sha256: ready.deployment.sha256 },
      command: commandLine(),
      evidence: ready.deployment.pools.flatMap(pool => pool.evidence),
      warnings,
    },
    policyKind: options.kind,
    baseline,
    seeds,
    runs: policyRuns.length * loadRatios.length * seeds.length,
    callsMin: Math.min(...policyRuns.flatMap(({ figures }) => figures.flat().map(({ calls }) => calls))),
    capacity,
    slo: { text: slo, targetRatio: TARGET_RATIO },
    loadRatios,
    ...compare(policyRuns, { baseline, loadRatios, targetRatio: TARGET_RATIO }),
    leftOut: runs.leftOut,
  };
}
