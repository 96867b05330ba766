// `npm run bench -- [NAME…] [--json]`: one line a benchmark, {name, value, unit, detail}. CPU time where the machine is
// shared; each benchmark is one function below.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { labContext } from '../../lab/lint/context.ts';
import { lint } from '../../lab/lint/index.ts';
import { extend, seedKey, uniform } from '../../scenarios/base/key.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import { parseScenario } from '../../scenarios/formats/scenario.ts';
import { parseSource } from '../../scenarios/formats/source.ts';
import { compile } from '../../scenarios/workflows/compile.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { largeScenario } from '../builders/large-scenario.ts';
import { planOf, sessionsOf, workflowText } from '../builders/scenarios.ts';
import { DEPLOYMENT, deploymentOf, simulationOf } from '../builders/worlds.ts';
import { importAzure, importGigabyte, importMooncake } from './import.ts';

export interface Figure {
  value: number;
  unit: string;
  detail: string;
}

const ROOT = join(import.meta.dirname, '..', '..');
const SHARED_TRACES = join(ROOT, '..', 'shared', 'data', 'traces', 'weka-claude-code', 'flat');

/** CPU seconds of this process that `work` takes. */
function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Shared sessions where they are, else the one that the package ships. */
function traceInput(): string {
  return existsSync(SHARED_TRACES)
    ? SHARED_TRACES
    : join(ROOT, 'scenarios/library/traces/claude-code-session.json');
}

const BENCHES: Record<string, () => Figure> = {
  /** Hashing one draw from its key. */
  draws: () => {
    const root = seedKey(1);
    const times = 5e6;
    let sum = 0;
    const seconds = cpuSeconds(() => {
      for (let i = 0; i < times; i++) sum += uniform(extend(root, i));
    });
    return {
      value: (seconds / times) * 1e9,
      unit: 'ns/draw',
      detail: `${times} draws, mean ${(sum / times).toFixed(5)}`,
    };
  },

  /** The plan of ten million calls: speed and heap growth. */
  plan: () => {
    const plan = planOf(
      workflowText(
        '[ { map: jobs, over: 400, steps: [ { llm: work, adds: { median: 50, p90: 90 }, out: { median: 20, p90: 40 } } ] } ]',
        '',
        25_000,
      ),
    );
    let calls = 0;
    let early = 0;
    const seconds = cpuSeconds(() => {
      const cohort = plan.cohorts[0];
      if (cohort?.kind !== 'open') throw new Error('open');
      for (const session of cohort.sessions()) {
        calls += walk(session).calls.length;
        if (calls === 400_000) early = process.memoryUsage().heapUsed;
      }
    });
    const grownMb = (process.memoryUsage().heapUsed - early) / 1e6;
    return {
      value: calls / seconds,
      unit: 'calls/cpu-s',
      detail: `${calls} calls planned, heap grew by ${grownMb.toFixed(0)} MB after the first 400,000`,
    };
  },

  /** The reference simulator on plain requests: 512 in, 512 out, one replica at about 70 % load. */
  'sim-reference': () => {
    const text = workflowText('[ { llm: a, adds: 512, out: 512 } ]', '', 3000).replace(
      'at_once: true',
      'poisson: { rate: 8/s }',
    );
    const simulation = simulationOf(
      planOf(text),
      deploymentOf(
        DEPLOYMENT(
          '',
          'model: affine, base: 6ms, per_token: 12us, per_sequence: 30us, per_context_token: 10ns',
        ).replace('max_num_seqs: 64', 'max_num_seqs: 256'),
      ),
    );
    const seconds = cpuSeconds(() => {
      while (simulation.step(10_000));
    });
    const { calls } = simulation.finish();
    return {
      value: calls.length / seconds,
      unit: 'requests/cpu-s',
      detail: `${calls.length} requests of 512 in, 512 out on one replica, in ${seconds.toFixed(1)} CPU s`,
    };
  },

  /** Recorded Claude Code sessions on eight H200. */
  'sim-traces': () => {
    const seconds = cpuSeconds(() => {
      const plan = loadScenario(traceInput()).compiled?.plan;
      const deployment = loadDeployment('8xh200-mistral-small-4', routingPolicies).deployment;
      if (plan == null || deployment === null) throw new Error('the trace or its deployment does not load');
      const simulation = simulationOf(plan, deployment);
      while (simulation.step(10_000));
      if (simulation.finish().calls.some(call => call.outcome !== 'ok')) throw new Error('a call failed');
    });
    const plan = loadScenario(traceInput()).compiled?.plan;
    const sessions = plan == null ? 0 : sessionsOf(plan).length;
    return {
      value: seconds,
      unit: 'cpu-s',
      detail: `${sessions} recorded sessions, read, planned and simulated`,
    };
  },

  /** A million calls of Mooncake's form, whose sessions are found by their blocks. */
  'import-mooncake': importMooncake,

  /** A million rows of Azure's CSV. */
  'import-azure': importAzure,

  /** A gigabyte of Mooncake's form. */
  'import-1gb': importGigabyte,

  /** `windtunnel check` of a scenario of 1,000 lines: the whole process, start-up included. */
  'check-1000': () => {
    const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
    const text = largeScenario(1000);
    const path = join(folder, 'large.yaml');
    writeFileSync(path, text);
    const times: number[] = [];
    for (let i = 0; i < 7; i++) {
      const startMs = performance.now();
      const { status } = spawnSync(process.execPath, ['bin/windtunnel.js', 'check', path], { cwd: ROOT });
      if (status !== 0) throw new Error('the large scenario does not check');
      times.push(performance.now() - startMs);
    }
    rmSync(folder, { recursive: true });
    times.sort((a, b) => a - b);
    return {
      value: times[3] as number,
      unit: 'ms',
      detail: `${text.split('\n').length - 1} lines, median of 7, from ${times[0]?.toFixed(0)} to ${times[6]?.toFixed(0)} ms`,
    };
  },

  /** The same without the process: parse, compile, walk sessions, lint; the first time in this process. */
  'check-1000-alone': () => {
    const source = parseSource(largeScenario(1000), 'large.yaml');
    let warnings = 0;
    let calls = 0;
    const seconds = cpuSeconds(() => {
      const { file } = parseScenario(parseSource(source.text, 'large.yaml'));
      if (file === null) throw new Error('the large scenario does not parse');
      const compiled = compile({ file, sha256: 'bench', name: 'large', traces: new Map(), lines: null });
      if (compiled.plan === null) throw new Error('the large scenario does not compile');
      const context = labContext(file, { plan: compiled.plan, workflows: compiled.workflows }, null);
      warnings = lint(context).length;
      calls = context.walks.reduce((sum, walked) => sum + walked.calls.length, 0);
    });
    return { value: seconds * 1000, unit: 'cpu-ms', detail: `${calls} calls walked, ${warnings} warnings` };
  },

  /** `windtunnel --help`, whole process. */
  help: () => {
    const times: number[] = [];
    for (let i = 0; i < 7; i++) {
      const startMs = performance.now();
      spawnSync(process.execPath, ['bin/windtunnel.js', '--help'], { cwd: ROOT });
      times.push(performance.now() - startMs);
    }
    times.sort((a, b) => a - b);
    return {
      value: times[3] as number,
      unit: 'ms',
      detail: `median of 7, from ${times[0]?.toFixed(0)} to ${times[6]?.toFixed(0)} ms`,
    };
  },
};

/** Run only when they are named. */
const ON_REQUEST: readonly string[] = ['import-1gb'];

function main(args: readonly string[]): number {
  const json = args.includes('--json');
  const names = args.filter(arg => !arg.startsWith('--'));
  const unknown = names.find(name => !(name in BENCHES));
  if (unknown !== undefined) {
    process.stderr.write(`no benchmark "${unknown}"; there are ${Object.keys(BENCHES).join(', ')}\n`);
    return 104;
  }
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (names.length > 0 ? !names.includes(name) : ON_REQUEST.includes(name)) continue;
    const figure = bench();
    const line = { name, ...figure };
    const rounded = figure.value >= 100 ? figure.value.toFixed(0) : figure.value.toPrecision(3);
    process.stdout.write(
      json
        ? `${JSON.stringify(line)}\n`
        : `${name.padEnd(15)} ${rounded.padStart(10)} ${figure.unit.padEnd(14)} ${figure.detail}\n`,
    );
  }
  return 0;
}

process.exitCode = main(process.argv.slice(2));
