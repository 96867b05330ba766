// Short names of runs on one page: what tells them apart, and nothing else.
import type { RunResult } from '../scenarios/formats/result.ts';

/** Words of a command line as the header quotes them. */
const wordsOf = (command: string): string[] =>
  (command.match(/'(?:[^']|'\\'')*'|\S+/g) ?? []).map(word =>
    word.startsWith("'") ? word.slice(1, -1).replaceAll("'\\''", "'") : word,
  );

/** Paths and values of `--set a=1` and `--set=a=1`, and the router of `--routing`. */
export function settingsOf({ header }: RunResult): [path: string, value: string][] {
  const words = wordsOf(header.command);
  return words.flatMap((word, i): [string, string][] => {
    const option = /^--(set|routing)(?:=(.*))?$/.exec(word);
    const text = option === null ? undefined : (option[2] ?? words[i + 1]);
    if (option === null || text === undefined) return [];
    if (option[1] === 'routing') return [['routing', text]];
    const end = text.indexOf('=');
    return end < 0 ? [] : [[text.slice(0, end), text.slice(end + 1)]];
  });
}

/** The end of a path that no other path has: `rate` of `traffic.1.arrival.poisson.rate`. */
function shortest(path: string, others: readonly string[]): string {
  const keys = path.split('.');
  for (let from = keys.length - 1; from > 0; from--) {
    const end = keys.slice(from).join('.');
    if (!others.some(other => other !== path && (other === end || other.endsWith(`.${end}`)))) return end;
  }
  return path;
}

const PARTS: readonly ((run: RunResult) => string)[] = [
  ({ header }) => header.scenario.name,
  ({ header }) => header.deployment.name,
  ({ header }) => (header.world === 'sim' ? 'simulated' : 'live'),
  ({ header }) => `seed ${header.seed}`,
];

/** `edge-and-central, replicas=2`; runs that nothing tells apart are numbered. One run has its deployment's. */
export function runNames(runs: readonly RunResult[]): string[] {
  const [first] = runs;
  if (first === undefined) return [];
  if (runs.length === 1) return [first.header.deployment.name];
  const varying = PARTS.filter(part => runs.some(run => part(run) !== part(first)));
  const settings = runs.map(settingsOf);
  const paths = [...new Set(settings.flatMap(own => own.map(([path]) => path)))];
  const isVaried = (path: string, value: string): boolean =>
    settings.some(others => !others.some(other => other[0] === path && other[1] === value));
  const names = runs.map((run, i) => {
    const own = settings[i]!.filter(([path, value]) => isVaried(path, value)).map(
      ([path, value]) => `${shortest(path, paths)}=${value}`,
    );
    const parts = [...varying.map(part => part(run)), ...own];
    return parts.length === 0 ? run.header.deployment.name : parts.join(', ');
  });
  return names.map((name, i) => {
    const alike = names.filter(other => other === name).length;
    return alike > 1 ? `${name} (${names.slice(0, i + 1).filter(other => other === name).length})` : name;
  });
}
