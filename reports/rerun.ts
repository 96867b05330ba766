// The command of a run, to be typed again with something changed: the same scenario, deployment, seed and settings, and
// nothing of where it went or how it was shown.
import { quoted, shellWords } from '../scenarios/base/shell-words.ts';
import type { RunHeader } from '../scenarios/formats/run.ts';

/** Commands that run a scenario on a deployment. */
const RUNS = ['simulate', 'replay', 'validate', 'bench-policies', 'check'];

/** What says which run it is; all else says where its results go, or how live load is sent. */
const WITH_VALUE = [
  '--seed',
  '--set',
  '--routing',
  '--timing',
  '--gap-scale',
  '--gap-cap',
  '--scale-tokens',
  '--concurrent',
  '--sessions',
  '--format',
  '--from',
  '--to',
  '--max-context',
  '--sample-sessions',
  '--block-size',
];
const FLAGS = ['--warm', '--anonymize', '--jitter-quantum'];
/** Flags of no interest; any other unknown option has a value. */
const IGNORED_FLAGS = ['--json', '--quiet', '--strict', '--emulate', '--no-live', '--live'];

export interface Rerun {
  readonly scenario: string;
  readonly deployment: string;
  /** As they were given, each a word. */
  readonly options: readonly string[];
}

/** null: it was no run of a scenario on a deployment (a study, the demo). */
export function rerunOf({ command }: Pick<RunHeader, 'command'>): Rerun | null {
  const [program, first, ...rest] = shellWords(command);
  if (program !== 'windtunnel' || first === undefined) return null;
  // A bare file simulates.
  const words = RUNS.includes(first) ? rest : /[./]/.test(first) ? [first, ...rest] : null;
  if (words === null) return null;
  let scenario: string | null = null;
  let deployment: string | null = null;
  const options: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (!word.startsWith('-')) {
      scenario ??= word;
      continue;
    }
    const [, name = word, inline] = /^(--?[^=]+)=(.*)$/s.exec(word) ?? [];
    if (FLAGS.includes(name)) options.push(name);
    if (FLAGS.includes(name) || IGNORED_FLAGS.includes(name)) continue;
    const isDeployment = name === '-d' || name === '--deployment';
    const isKnown = isDeployment || WITH_VALUE.includes(name);
    // What follows an option that nobody knows here is its value, unless it is an option itself.
    const value = inline ?? (isKnown || !words[i + 1]?.startsWith('-') ? words[++i] : undefined);
    if (!isKnown || value === undefined) continue;
    if (isDeployment) deployment = value;
    else options.push(name, value);
  }
  return scenario === null || deployment === null ? null : { scenario, deployment, options };
}

/** `windtunnel COMMAND SCENARIO -d D …`, with further options behind those of the run. */
export const again = (
  { scenario, deployment, options }: Rerun,
  command: 'simulate' | 'check' | 'validate' | 'bench-policies',
  ...more: readonly string[]
): string => ['windtunnel', command, scenario, '-d', deployment, ...options, ...more].map(quoted).join(' ');

/** The folder of the run as its command names it, else the one that it gets by itself. */
export function folderOf({ command, scenario, deployment, world }: RunHeader): string {
  const words = shellWords(command);
  const named = words[words.indexOf('--out') + 1];
  if (words.includes('--out') && named !== undefined) return named;
  const inline = words.find(word => word.startsWith('--out='));
  return (
    inline?.slice('--out='.length) ?? `windtunnel-runs/${nameOf(scenario.name, deployment.name)}-${world}`
  );
}

/** As a folder can be called. */
export const nameOf = (scenario: string, deployment: string): string =>
  `${scenario}-${deployment}`.replace(/[^\w.-]+/g, '-').replace(/^[.-]+/, '') || 'run';
