// What operators run, as a deployment file: finds out what a file is, and has its reader read it.
import { UserError } from '../../scenarios/base/errors.ts';
import type { Issue } from '../../scenarios/base/issue.ts';
import { parseSource, type Source } from '../../scenarios/formats/source.ts';
import { deploymentOf, type ReadDeployment, type ReadOptions } from './incoming.ts';
import { isMapping } from './ledger.ts';
import { isGraph, readDynamo } from './read-dynamo.ts';
import { itemsOf, readCompose, readKubernetes } from './read-kubernetes.ts';
import { isValues, readLlmD } from './read-llm-d.ts';
import { readShell, serverWords } from './read-vllm.ts';
import { commandsOf } from './read-words.ts';

/** The documents of a YAML file, each with its own places. */
function documentsOf(text: string, file: string): Source[] {
  const documents: Source[] = [];
  const lines = text.split('\n');
  let from = 0;
  for (let row = 0; row <= lines.length; row++) {
    if (row < lines.length && !/^---(\s|$)/.test(lines[row] as string)) continue;
    const own = lines.slice(from, row).join('\n');
    // Empty lines in front keep the places.
    if (/^\s*[^#\s]/m.test(own)) documents.push(parseSource(`${'\n'.repeat(from)}${own}`, file));
    from = row + 1;
  }
  return documents;
}

const isCompose = (value: unknown): boolean =>
  isMapping(value) &&
  value.kind === undefined &&
  isMapping(value.services) &&
  Object.values(value.services).some(each => isMapping(each) && (each.image ?? each.build) !== undefined);

const isScript = (text: string): boolean =>
  /vllm|docker run|podman run/.test(text) &&
  commandsOf(text).some(({ words }) => serverWords(words) !== null || words.includes('run'));

/** What begins a manifest or values: such a text is YAML, even where it cannot be read. */
const YAML_KEY = /^(apiVersion|kind|modelArtifacts|services|router|inferenceExtension)\s*:/m;

/** Whether a text is one that an operator runs, rather than a scenario or deployment of ours. */
export const isOperatorsText = (text: string): boolean =>
  !/^windtunnel\s*:/m.test(text) && (YAML_KEY.test(text) || isScript(text));

/** Either a deployment, or what is wrong with the text itself. */
export type Read =
  | { readonly deployment: ReadDeployment }
  | { readonly issues: readonly Issue[]; readonly source: Source };

/** Reads what an operator runs; a UserError where it serves no model, or does not say enough. */
export function readOperators(text: string, options: ReadOptions): Read {
  const { file } = options;
  if (!YAML_KEY.test(text)) return { deployment: deploymentOf(readShell(text, file), options) };
  if (/^\s*\{\{-?\s|:\s*\{\{/m.test(text))
    throw new UserError(`${file} is a template of Helm`, {
      hint: 'render it first: helm template RELEASE CHART -f VALUES > FILE',
    });
  const documents = documentsOf(text, file);
  const broken = documents.find(({ issues }) => issues.length > 0);
  if (broken !== undefined) return { issues: broken.issues, source: broken };
  const values = documents.map(({ value }) => value);
  const read = itemsOf(values).some(isGraph)
    ? readDynamo(values, file)
    : values.some(isValues)
      ? readLlmD(values, file)
      : values.length === 1 && isCompose(values[0])
        ? readCompose(values[0] as Record<string, unknown>, file)
        : readKubernetes(values, file);
  return { deployment: deploymentOf(read, options) };
}
