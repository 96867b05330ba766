// The measured half: the same plan on live endpoints, once or several times, each with content of its own so that no
// run finds what another left in the cache.
import { join } from 'node:path';
import type { ReadyRun } from '../../engines/load.ts';
import type { RoutingPolicy } from '../../gateway/routing/policy.ts';
import { runReplay } from '../../loadgen/command.ts';
import { plural, showMs } from '../../reports/numbers.ts';
import { publish } from '../../reports/publish.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import { say } from '../../scenarios/cli/terminal.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { startEmulatorProcess } from '../emulator-process.ts';
import type { ValidateHow } from './validate.ts';

export interface LiveRun {
  /** Beside validation.json. */
  readonly folder: string;
  readonly output: RunOutput;
  readonly result: RunResult;
}

interface LiveInput {
  loaded: LoadedScenario;
  ready: ReadyRun;
  options: ValidateHow;
  out: string;
  routing: RoutingPolicy | null;
  sim: RunOutput;
}

/** One run after the other; an interrupt ends the one under way and makes it the last. */
export async function liveRuns(input: LiveInput): Promise<LiveRun[]> {
  const { options, out, sim } = input;
  const runs: LiveRun[] = [];
  const salt = options.salt ?? new Date().toISOString();
  for (let run = 0; run < options.repeats; run++) {
    if (!options.quiet) {
      const nth = options.repeats === 1 ? 'replaying them now' : `replay ${run + 1} of ${options.repeats}`;
      say(
        { ...options, json: true },
        `simulated ${plural(sim.calls.length, 'call')}, ${showMs(sim.durationMs)}; ${nth}`,
      );
    }
    const folder = run === 0 ? 'live' : `live-${run + 1}`;
    const output = await replayed(input, join(out, folder), run === 0 ? salt : `${salt}#${run + 1}`);
    // Each is on disk before the next begins.
    const published = await publish(output, { out: join(out, folder) });
    runs.push({ folder, output, result: published.result as RunResult });
    if (output.interrupted) break;
  }
  return runs;
}

/** On the deployment's endpoints, or on its own emulator in a second process, which is a new one each time. */
async function replayed(
  { loaded, ready, options, routing }: LiveInput,
  folder: string,
  salt: string,
): Promise<RunOutput> {
  if (!options.emulate) return runReplay(loaded, ready, { ...options, salt }, { folder, routing });
  const emulator = await startEmulatorProcess(options.deployment);
  try {
    const where = 'measured on the emulator of this deployment, at';
    const how = { ...options, salt, endpoint: [emulator.baseUrl] };
    return await runReplay(loaded, ready, how, { folder, where, routing });
  } finally {
    await emulator.close();
  }
}
