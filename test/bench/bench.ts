// `npm run bench -- [NAME…] [--json]`: one line a benchmark, {name, value, unit, detail}. CPU time where the machine is
// shared; each benchmark is one function below.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labContext } from '../../lab/lint/context.ts';
import { lint } from '../../lab/lint/index.ts';
import { extend, seedKey, uniform } from '../../scenarios/base/key.ts';
import { parseScenario } from '../../scenarios/formats/scenario.ts';
import { parseSource } from '../../scenarios/formats/source.ts';
import { compile } from '../../scenarios/workflows/compile.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { largeScenario } from '../builders/large-scenario.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { comparePower } from './compare-power.ts';
import { dayMemory, dayOfAgents } from './day.ts';
import { cpuSeconds, type Figure } from './figure.ts';
import { gatewayOverhead } from './gateway.ts';
import { importAzure, importGigabyte, importMooncake } from './import.ts';
import { loadgenCpu, loadgenSoak } from './loadgen.ts';
import { metricsWatch } from './metrics.ts';
import { policyBench } from './policies.ts';
import { reportOfMillion } from './report.ts';
import { runLogCost } from './run-log.ts';
import { sweepScaleout } from './scaleout.ts';
import { simAgentic64, simGrowth, simSessions, simSingle, simTenMillion } from './simulate.ts';
import { sizeMixed } from './size.ts';

const ROOT = join(import.meta.dirname, '..', '..');

const BENCHES: Record<string, () => Figure | Promise<Figure>> = {
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

  /** The gateway with everything on against nothing on, and what stays of a million calls. */
  'gateway-overhead': gatewayOverhead,

  /** The page of a run of a million calls: size, time, memory, and when its charts are there. */
  'report-1m': reportOfMillion,

  /** One replica, 512 tokens in and out at 70 % load: requests a CPU second. */
  'sim-single': simSingle,

  /** What longer outputs cost a request. */
  'sim-growth': simGrowth,

  /** Ten million requests in flat memory. */
  'sim-10m': simTenMillion,

  /** Coding agents on 64 replicas: calls a CPU second, workflows included. */
  'sim-agentic-64': simAgentic64,

  /** Ten thousand coding agents on 256 replicas for a day, tallied, in cells on one core: CPU seconds. */
  'day-10k-agents': dayOfAgents,

  /** An eighth of that fleet until there are ten million calls: live memory after the last million over that after the first. */
  'day-10m-calls': dayMemory,

  /** The shared Claude Code sessions, one by one. */
  'sim-sessions': simSessions,

  /** A thousand streamed chunks, every token timed; and how wrong the times were. */
  'loadgen-cpu': loadgenCpu,

  /** What stays of 100,000 short calls. */
  'loadgen-soak': loadgenSoak,

  /** Writing a live run to disk as it goes on. */
  'run-log': runLogCost,

  /** Looking at 1 MB of a server's metrics, 20 times a second. */
  'metrics-watch': metricsWatch,

  /** Every routing policy at ten loads with ten seeds. */
  'policy-bench': policyBench,

  /** The cheapest of over 10,000 deployments for the mixed fleet; and against the optimum of a smaller space. */
  'size-mixed': sizeMixed,

  /** What comparisons of live runs find, and what they invent. */
  'compare-power': comparePower,

  /** 400 runs over one, two and four workers of a queue, and while workers and Redis are killed. */
  'sweep-scaleout': sweepScaleout,

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
const ON_REQUEST: readonly string[] = [
  'import-1gb',
  'policy-bench',
  'size-mixed',
  'sweep-scaleout',
  'sim-10m',
  'day-10k-agents',
  'day-10m-calls',
];

async function main(args: readonly string[]): Promise<number> {
  const json = args.includes('--json');
  const names = args.filter(arg => !arg.startsWith('--'));
  const unknown = names.find(name => !(name in BENCHES));
  if (unknown !== undefined) {
    process.stderr.write(`no benchmark "${unknown}"; there are ${Object.keys(BENCHES).join(', ')}\n`);
    return 104;
  }
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (names.length > 0 ? !names.includes(name) : ON_REQUEST.includes(name)) continue;
    const figure = await bench();
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

process.exitCode = await main(process.argv.slice(2));
