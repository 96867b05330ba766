// What other load generators cost against the same server: CPU of their whole process tree while the calls go on.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, startClock } from '../../loadgen/clock.ts';
import { startServer } from '../../loadgen/selftest/child.ts';
import { Histogram } from '../../scenarios/base/histogram.ts';
import { quantile } from '../../scenarios/base/statistics.ts';
import { modelFolder } from '../builders/vllm.ts';

/** Of 200 streams, each beginning a call when its last one has ended. */
export interface RivalCost {
  cpuMsPer1000Chunks: number;
  chunksPerSec: number;
  /** What it says of TTFT and ITL at p99; null: it does not measure them. */
  said: { ttftMsP99: number; itlMsP99: number } | null;
  /** What the server knows of them. */
  were: { ttftMsP99: number; itlMsP99: number };
}

interface Rival {
  /** Null where it is not installed. */
  command: string | null;
  /** Calls that it makes before the load. */
  trials: number;
  args(baseUrl: string, folder: string): string[];
  said(folder: string): RivalCost['said'];
}

const STREAMS = 200;
const CALLS = 1000;
const TOKENS = 100;
const SAMPLE_MS = 50;
/** Linux counts CPU in hundredths of a second. */
const TICK_MS = 10;

const installed = (path: string | undefined): string | null =>
  path !== undefined && existsSync(path) ? path : null;

export const RIVALS = {
  'vllm bench serve': {
    command: installed(process.env.WINDTUNNEL_VLLM),
    trials: 1,
    args: (baseUrl, folder) => [
      ...`bench serve --backend openai-chat --base-url ${new URL(baseUrl).origin} --endpoint /v1/chat/completions`.split(
        ' ',
      ),
      ...`--model selftest --tokenizer ${modelFolder(folder)} --dataset-name random --random-input-len 32`.split(
        ' ',
      ),
      ...`--random-output-len ${TOKENS} --num-prompts ${CALLS} --max-concurrency ${STREAMS}`.split(' '),
      ...`--save-result --result-dir ${folder} --result-filename said.json --disable-tqdm`.split(' '),
    ],
    said(folder) {
      const said = JSON.parse(readFileSync(join(folder, 'said.json'), 'utf8')) as Record<string, number>;
      return { ttftMsP99: said.p99_ttft_ms!, itlMsP99: said.p99_itl_ms! };
    },
  },
  'k6, bodies only': {
    command: installed(process.env.WINDTUNNEL_K6),
    trials: 0,
    args(baseUrl, folder) {
      writeFileSync(
        join(folder, 'script.js'),
        `import http from 'k6/http';
export const options = { scenarios: { all: { executor: 'shared-iterations', vus: ${STREAMS}, iterations: ${CALLS}, maxDuration: '5m' } } };
const body = JSON.stringify({ model: 'selftest', stream: true, max_tokens: ${TOKENS}, messages: [{ role: 'user', content: 'hello' }] });
export default () => { http.post('${baseUrl}/chat/completions', body, { headers: { 'content-type': 'application/json' } }); };
`,
      );
      return ['run', '--quiet', '--no-usage-report', join(folder, 'script.js')];
    },
    said: () => null,
  },
} satisfies Record<string, Rival>;

export type RivalName = keyof typeof RIVALS;

/** Null where it is not installed. */
export async function rivalCost(name: RivalName): Promise<RivalCost | null> {
  const rival: Rival = RIVALS[name];
  if (rival.command === null) return null;
  const clock = startClock();
  const server = await startServer(clock.zero);
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-rival-'));
  try {
    const samples = await ran(rival.command, rival.args(server.baseUrl, folder), clock);
    const truth = await server.truth();
    const calls = truth.calls.slice(rival.trials);
    const [fromMs, toMs] = [calls[0]!.arrivalMs, truth.lastSendMs!];
    const chunks = calls.reduce((sum, call) => sum + call.chunks, 0);
    const gaps = Histogram.from(truth.gapMs);
    return {
      cpuMsPer1000Chunks: ((cpuAt(samples, toMs) - cpuAt(samples, fromMs)) / chunks) * 1000,
      chunksPerSec: (chunks / (toMs - fromMs)) * 1000,
      said: rival.said(folder),
      were: {
        ttftMsP99: quantile(
          calls.map(({ firstMs, arrivalMs }) => firstMs - arrivalMs),
          0.99,
        ),
        itlMsP99: gaps.quantile(0.99),
      },
    };
  } finally {
    await server.close();
    rmSync(folder, { recursive: true });
  }
}

/** CPU so far, at times of the clock. */
type Samples = [atMs: number, cpuMs: number][];

/** Runs to its end; CPU of processes that ended before is in their parents. */
async function ran(command: string, args: string[], clock: Clock): Promise<Samples> {
  const samples: Samples = [];
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HF_HUB_OFFLINE: '1', VLLM_NO_USAGE_STATS: '1', DO_NOT_TRACK: '1' },
  });
  let last = '';
  child.stderr.on('data', chunk => {
    last = (last + String(chunk)).slice(-2000);
  });
  const timer = setInterval(() => samples.push([clock.nowMs(), treeCpuMs(child.pid!)]), SAMPLE_MS);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', reject);
  });
  clearInterval(timer);
  if (code !== 0) throw new Error(`${command} ended with ${code}:\n${last}`);
  return samples;
}

/** Of a process, its children that run, and those that it has waited for. */
function treeCpuMs(root: number): number {
  const stats = readdirSync('/proc').flatMap(name => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'latin1');
      // The name of a process may hold spaces and brackets: fields are counted after the last one.
      const fields = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      const ticks = fields.slice(11, 15).reduce((sum, each) => sum + each, 0);
      return [{ pid: Number(name), parent: fields[1]!, cpuMs: ticks * TICK_MS }];
    } catch {
      return []; // It has ended.
    }
  });
  const tree = new Set([root]);
  for (let before = 0; before < tree.size; ) {
    before = tree.size;
    for (const { pid, parent } of stats) if (tree.has(parent)) tree.add(pid);
  }
  return stats.reduce((sum, { pid, cpuMs }) => sum + (tree.has(pid) ? cpuMs : 0), 0);
}

function cpuAt(samples: Samples, atMs: number): number {
  const after = samples.findIndex(([sampledMs]) => sampledMs >= atMs);
  if (after <= 0) return samples.at(after === 0 ? 0 : -1)?.[1] ?? 0;
  const [[fromMs, from], [toMs, to]] = [samples[after - 1]!, samples[after]!];
  return from + ((to - from) * (atMs - fromMs)) / (toMs - fromMs);
}
