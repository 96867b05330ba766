// A diagnosis for a terminal, and its endpoint as YAML for a deployment. Pure.
import type { Diagnosis, Finding, FoundEndpoint } from './diagnosis.ts';

export type Mark = (state: Finding['state'], text: string) => string;

const MARKS: Record<Finding['state'], string> = { found: '✓', missing: '✗', fatal: '✗', unknown: '?' };

/** `mark` colours. */
export function diagnosisText(diagnosis: Diagnosis, mark: Mark = (_, text) => text): string {
  const { findings, endpoint, asked, exitCode } = diagnosis;
  const width = Math.max(...findings.map(({ name }) => name.length));
  const indent = ' '.repeat(width + 6);
  const lines = findings.flatMap(({ name, state, says, costs, write }) => [
    `  ${mark(state, MARKS[state])} ${name.padEnd(width)}  ${says}`,
    ...(costs === undefined ? [] : [`${indent}costs: ${costs}`]),
    ...(write === undefined ? [] : [`${indent}${state === 'found' ? 'more' : 'mend'}: ${write}`]),
  ]);
  const answer =
    exitCode === 0
      ? mark('found', 'can be replayed against')
      : mark('fatal', exitCode === 1 ? 'not reachable' : 'cannot be replayed against');
  return [
    `${asked}: ${answer}`,
    ...lines,
    ...(endpoint === null ? [] : ['', 'for a pool of your deployment:', '', endpointYaml(endpoint)]),
  ].join('\n');
}

/** A scalar that YAML reads as this text. */
const scalar = (text: string): string =>
  /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(text) &&
  !/^[\d.]+$/.test(text) &&
  !/^(true|false|null|yes|no|on|off)$/i.test(text)
    ? text
    : JSON.stringify(text);

/** Ready to paste. A host beyond this machine must be allowed by the deployment. */
export function endpointYaml({ url, model, keyEnv, api, server, takes }: FoundEndpoint): string {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  const isHere = /^(localhost|127\.[\d.]+|::1)$/.test(host);
  return [
    ...(isHere ? [] : [`allow_hosts: [${scalar(host)}]   # at the top of the file`]),
    'endpoints:',
    `  - url: ${url}`,
    `    model: ${scalar(model)}`,
    `    api: ${api}`,
    ...(keyEnv === null ? [] : [`    key_env: ${keyEnv}`]),
    ...(server === null ? [] : [`    server: ${server}`]),
    ...(takes === null ? [] : [`    takes: [${takes.join(', ')}]`]),
  ].join('\n');
}
