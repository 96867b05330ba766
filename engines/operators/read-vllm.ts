// Command lines that start vLLM: in a shell script, behind `docker run`, or as the command of a container.
import { UserError } from '../../scenarios/base/errors.ts';
import type { ReadFile, ReadServer } from './incoming.ts';
import type { Unmapped } from './operator-file.ts';
import { commandsOf } from './read-words.ts';
import { type ReadArgs, readVllmArgs } from './vllm-flags.ts';

const SERVERS = /^(vllm\.entrypoints\.openai\.api_server|dynamo\.vllm)$/;
/** An image whose entry point is `vllm serve`. */
const IMAGE = /(^|\/)(vllm-openai[\w-]*|llm-d-cuda|llm-d)(:|@|$)|vllm\/vllm/;

/** The words behind the server's name; null: the command starts no vLLM. `before`: what stands in front. */
export function serverWords(words: readonly string[]): { args: string[]; before: string[] } | null {
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (/(^|\/)vllm$/.test(word) && words[i + 1] === 'serve')
      return { args: words.slice(i + 2), before: words.slice(0, i) };
    if (SERVERS.test(word)) return { args: words.slice(i + 1), before: words.slice(0, i - 2) };
  }
  return null;
}

/** Command and arguments of a container: direct, inside `sh -c`, or left to the image. */
export function containerWords(
  image: string,
  command: readonly string[],
  args: readonly string[],
): string[] | null {
  const words = [...command, ...args];
  const direct = serverWords(words);
  if (direct !== null && !/\s/.test(words[words.length - direct.args.length - 1] ?? '')) return direct.args;
  for (const script of words.filter(each => /\s/.test(each))) {
    const inside = commandsOf(script)
      .map(each => serverWords(each.words))
      .find(each => each !== null);
    if (inside !== undefined && inside !== null) return inside.args;
  }
  return IMAGE.test(image) && command.length === 0 ? [...args] : null;
}

/** The one model of a server. */
export function oneModel({ models }: ReadArgs, where: string): string {
  const [model, second] = models;
  if (model === undefined || model === '')
    throw new UserError(`${where} names no model`, { hint: 'vllm serve MODEL, or --model MODEL' });
  if (second !== undefined)
    throw new UserError(`${where} names two models: ${models.join(', ')}`, {
      hint: 'a vLLM server has one model; two are two servers',
    });
  if (model.includes('$') || model.includes('{{'))
    throw new UserError(`${where} names its model by the variable ${model}`, {
      hint: 'put the name of the model in its place',
    });
  return model;
}

/** What `windtunnel export vllm` writes above each line. */
const WRITTEN =
  /^# pool ([\w-]+)(?:, (prefill|decode))?: (\d+) replicas?, each (?:on \d+ x ([\w.-]+)|without a GPU)/gm;

const ENVIRONMENT = 'a variable of the environment';
const assignedName = (word: string): string | null => /^([A-Za-z_]\w*)=/.exec(word)?.[1] ?? null;

export function readShell(text: string, file: string): ReadFile {
  const written = [...text.matchAll(WRITTEN)].map(found => ({
    line: text.slice(0, found.index).split('\n').length,
    pool: found[1] as string,
    half: (found[2] ?? null) as ReadServer['half'],
    replicas: Number(found[3]),
    gpu: found[4] ?? null,
  }));
  const servers: ReadServer[] = [];
  const unmapped: Unmapped[] = [];
  for (const { words, line } of commandsOf(text)) {
    const where = `${file}:${line}`;
    const container = dockerRun(words);
    const found = container ?? serverWords(words);
    if (found === null) {
      const names = words.map(word => (word === 'export' ? '' : assignedName(word)));
      // A variable that the script itself reads is in the words already.
      if (names.includes(null)) unmapped.push({ path: where, why: 'starts no vLLM server' });
      else
        for (const name of names)
          if (name !== null && name !== '' && !new RegExp(`\\$\\{?${name}\\b`).test(text))
            unmapped.push({ path: name, why: ENVIRONMENT });
      continue;
    }
    for (const option of container?.options ?? [])
      unmapped.push({ path: option, why: 'an option of the container' });
    for (const word of container === null ? (found as { before: string[] }).before : []) {
      const name = assignedName(word);
      if (name !== null) unmapped.push({ path: name, why: ENVIRONMENT });
    }
    const args = readVllmArgs(found.args);
    const above = written.findLast(each => each.line < line && each.line > line - 3);
    unmapped.push(...args.unmapped);
    servers.push({
      name: above?.pool ?? `server-${servers.length + 1}`,
      pool: above?.pool ?? null,
      model: oneModel(args, where),
      half: above?.half ?? args.half,
      gpu: above?.gpu ?? null,
      isWithoutGpu: false,
      fields: { ...args.fields, ...(above === undefined ? {} : { replicas: above.replicas }) },
      draft: args.draft,
    });
  }
  return { name: null, servers, routing: null, gateway: null, unmapped, notes: [] };
}

/** `docker run OPTIONS IMAGE ARGS`; values of options are not told: some are secrets. */
function dockerRun(words: readonly string[]): { args: string[]; options: string[] } | null {
  const at = words.findIndex(
    (word, row) => word === 'run' && /(^|\/)(docker|podman|nerdctl)$/.test(words[row - 1] ?? ''),
  );
  if (at < 0) return null;
  const image = words.findIndex((word, row) => row > at && IMAGE.test(word));
  if (image < 0) return null;
  const options = words
    .slice(at + 1, image)
    .filter(word => word.startsWith('-'))
    .map(word => word.replace(/=.*$/s, ''));
  const rest = words.slice(image + 1);
  return { args: serverWords(rest)?.args ?? [...rest], options: [...new Set(options)] };
}
