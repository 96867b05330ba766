// `replay --driver k6`: exports the plan, runs the k6 of this machine on it, and reads its JSON output as it comes into the
// records that every run has. k6 sees calls end, not their tokens: those figures are the servers' own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { PoolSpec } from '../../engines/engine.ts';
import { Balancer } from '../../gateway/routing/balancer.ts';
import { routingPolicy } from '../../gateway/routing/index.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import type { RunOutput, RunSoFar } from '../../scenarios/formats/run.ts';
import { type Client, createClient } from '../client.ts';
import { clientReport, lagProblem } from '../client-report.ts';
import { writeExport } from '../export/command.ts';
import { type ExportedK6, exportK6 } from '../export/k6.ts';
import type { StartOptions } from '../start.ts';
import { ServerWatch, type WatchedPool } from '../watch.ts';
import { K6Tally, NO_GAPS, toldIn } from './tally.ts';

/** Of what k6 says beside its samples. */
const KEPT_CHARS = 65_536;
const LOOK_MS = 1000;
/** Linux counts the CPU of a process in hundredths of a second. */
const TICK_US = 10_000;
const INSTALL =
  'install it (https://grafana.com/docs/k6/latest/set-up/install-k6/), or name its executable in WINDTUNNEL_K6';

/** A run by k6, as `startReplay` has one of our own. */
export const k6Driver =
  (folder: string) =>
  (options: StartOptions): K6Run =>
    new K6Run(options, folder);

class K6Run {
  private readonly options: StartOptions;
  private readonly folder: string;
  private readonly executable: string;
  private readonly version: string;
  private readonly exported: ExportedK6;
  private readonly tally: K6Tally;
  private readonly client: Client;
  private readonly watch: ServerWatch;
  /** Why the run ended itself early; null: it did not. */
  stopReason: string | null = null;
  private child: ChildProcess | null = null;
  private interrupted = false;
  private said = '';
  private cpuUs = 0;

  /** Throws a UserError where there is no k6, or the run asks for what it cannot do. */
  constructor(options: StartOptions, folder: string) {
    const { plan, deployment, poolOf, timeoutMs, vocabTokens, environment, spending } = options;
    const { onCall, onRecord } = options;
    if (spending != null)
      throw new UserError('k6 keeps no limit of requests or of money', {
        hint: 'leave --max-requests and --max-usd out, or use the driver of windtunnel',
      });
    this.options = options;
    this.folder = folder;
    this.executable = environment.WINDTUNNEL_K6 ?? 'k6';
    this.version = versionOf(this.executable);
    this.exported = exportK6({
      plan,
      deployment,
      poolOf,
      sessionsMax: null,
      options: {
        salt: options.salt ?? '',
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(vocabTokens === undefined ? {} : { vocabTokens }),
      },
    });
    this.tally = new K6Tally(this.exported.known, this.exported.targets, {
      ...onRecord,
      ...(onCall === undefined ? {} : { onCall }),
    });
    this.client = createClient({ clock: options.clock });
    this.watch = new ServerWatch({
      targets: deployment.pools.map(watched),
      intervalMs: LOOK_MS,
      text: (baseUrl, path) => this.client.text(baseUrl, path),
      nowMs: () => this.nowMs(),
    });
  }

  get progress(): { sessionsStarted: number; callsEnded: number; callsInFlight: number } {
    const { sessionsStarted, calls, inFlight } = this.tally;
    return { sessionsStarted, callsEnded: calls.length, callsInFlight: inFlight };
  }

  get soFar(): RunSoFar {
    const { sessionsStarted, calls, nodes, workflows, inFlight } = this.tally;
    return {
      nowMs: this.nowMs(),
      sessionsStarted,
      activeSessions: sessionsStarted - workflows.length,
      callsInFlight: inFlight,
      calls,
      nodes,
      workflows,
      timeline: this.timeline,
    };
  }

  /** k6 ends what is under way as it does at Ctrl-C; what has ended by then is kept. */
  interrupt(): void {
    if (this.interrupted) return;
    this.interrupted = true;
    this.child?.kill('SIGINT');
  }

  /**
   *   script and plan ─▶ k6 ─▶ lines of samples ─▶ records
   */
  async run(): Promise<RunOutput> {
    const { clock } = this.options;
    const { watch, client } = this;
    writeExport(this.folder, this.exported);
    const startedMs = clock.nowMs();
    await watch.start();
    let code: number | null = null;
    try {
      if (!this.interrupted) code = await this.k6();
    } finally {
      await watch.stop();
      await client.close();
    }
    const wallMs = clock.nowMs() - startedMs;
    this.tally.finish(this.nowMs());
    return this.output(code, wallMs);
  }

  get timeline(): RunOutput['timeline'] {
    return this.watch.timeline;
  }

  /** Of the run: 0 until k6 has begun. */
  private nowMs(): number {
    const { clock } = this.options;
    const { zeroUnixMs } = this.tally;
    return zeroUnixMs === null ? 0 : Math.max(0, clock.zero.unixMs + clock.nowMs() - zeroUnixMs);
  }

  /** Runs k6 to its end; its exit code. */
  private async k6(): Promise<number | null> {
    const { environment } = this.options;
    const child = spawn(
      this.executable,
      ['run', '--quiet', '--no-color', '--include-system-env-vars', '--out', 'json=-', 'script.ts'],
      {
        cwd: this.folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        // A group of its own: a Ctrl-C of the terminal reaches it once, through us.
        detached: true,
        env: {
          ...environment,
          WINDTUNNEL_RECORDS: '1',
          WINDTUNNEL_SALT: '',
          K6_NO_USAGE_REPORT: 'true',
        },
      },
    );
    this.child = child;
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    const sampling = setInterval(() => {
      this.cpuUs = cpuOf(child.pid) ?? this.cpuUs;
    }, LOOK_MS);
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => this.keep(text));
    try {
      for await (const line of createInterface({
        input: child.stdout,
        crlfDelay: Number.POSITIVE_INFINITY,
      })) {
        const told = toldIn(line);
        if (told !== null) this.tally.take(told);
        else if (!line.startsWith('{"')) this.keep(`${line}\n`);
      }
      return await ended;
    } finally {
      clearInterval(sampling);
      process.off('exit', kill);
      this.child = null;
      writeFileSync(join(this.folder, 'k6.txt'), this.said);
    }
  }

  private keep(text: string): void {
    this.said = (this.said + text).slice(-KEPT_CHARS);
  }

  private output(code: number | null, wallMs: number): RunOutput {
    const { plan, header } = this.options;
    const { watch } = this;
    const { calls, nodes, workflows, lastEndMs, inFlightMax } = this.tally;
    const problem = this.problem(code);
    if (calls.length === 0 && problem !== null)
      throw new UserError(problem, { hint: `see ${join(this.folder, 'k6.txt')}`, exitCode: EXIT.internal });
    const invalidReason = problem ?? lagProblem(calls);
    const use = { wallMs, cpuUs: { user: this.cpuUs, system: 0 }, inFlightMax };
    const client = clientReport(calls, workflows, [], use);
    return {
      header: {
        ...header,
        evidence: [
          ...header.evidence,
          `calls were sent by ${this.version}, which sees them end and not their tokens: TTFT, TPOT and ITL are only in the servers' own histograms`,
        ],
        warnings: [
          ...header.warnings,
          ...(this.stopReason === null ? [] : [`stopped early by ${this.stopReason}`]),
          ...this.exported.lost.map(each => `k6: ${each}`),
        ],
      },
      calls,
      nodes,
      workflows,
      timeline: watch.timeline,
      measured: {
        client: { ...client, workers: 1, serverInFlightMax: watch.inFlightMax },
        servers: watch.reports(),
        gpus: watch.gpus,
      },
      itlMs: NO_GAPS,
      assertions: [...plan.assertions],
      durationMs: lastEndMs,
      interrupted: this.interrupted,
      valid: invalidReason === null,
      invalidReason,
    };
  }

  /** Why k6 did not run to the end; null: it did. Thresholds that failed (99) are judged by us as well. */
  private problem(code: number | null): string | null {
    if (this.interrupted || code === 0 || code === EXIT.failed) return null;
    const last =
      this.said
        .trim()
        .split('\n')
        .findLast(line => /level=error/.test(line)) ?? '';
    const words = /msg="((?:[^"\\]|\\.)*)"/.exec(last)?.[1]?.replace(/\\n.*/s, '') ?? last;
    return `k6 ended with exit code ${code ?? 'none'}${words === '' ? '' : `: ${words}`}`;
  }
}

/** `k6 v1.8.1`. */
function versionOf(executable: string): string {
  const ran = spawnSync(executable, ['version'], { encoding: 'utf8' });
  const version = /v\d+\.\d+\.\d+\S*/.exec(ran.stdout ?? '')?.[0];
  if (ran.error !== undefined || version === undefined)
    throw new UserError(`there is no k6 to be run as "${executable}"`, {
      hint: INSTALL,
      exitCode: EXIT.internal,
    });
  return `k6 ${version}`;
}

/** Nothing is routed here: the balancer is only told. */
function watched({ name, endpoints, limits }: PoolSpec): WatchedPool {
  const { blockTokens, kvBlocks, maxBatchedTokens, maxSequences } = limits;
  const setup = { role: 'both' as const, blockTokens, kvTokens: kvBlocks * blockTokens };
  const balancer = new Balancer({
    policy: routingPolicy('round-robin'),
    options: {},
    setup: { ...setup, maxBatchedTokens, maxSequences },
    delayMs: 0,
    cache: null,
  });
  const replicas = endpoints.map((_, row) => `${name}/${row}`);
  for (const [row, replica] of replicas.entries()) balancer.open(row, replica);
  return { name, endpoints, replicas, balancer };
}

/** CPU of a process so far, µs; null where the system does not say. */
function cpuOf(pid: number | undefined): number | null {
  try {
    // Behind the name, which may hold anything: utime and stime are the 12th and 13th field.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) * TICK_US;
  } catch {
    return null;
  }
}
