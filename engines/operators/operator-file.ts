// A file that an operator pastes, and what of a deployment it has no place for. Rule: nothing is dropped in silence.
import { toYaml } from '../../scenarios/formats/source.ts';
import { wrap } from '../../scenarios/formats/wrap.ts';

/** A key that has no counterpart on the other side. */
export interface Unmapped {
  /** As in messages: pools.main.price, spec.template.spec.tolerations, --seed. */
  readonly path: string;
  readonly why: string;
}

export interface OperatorFile {
  /** Name of the file, without a folder. */
  readonly path: string;
  readonly text: string;
  readonly unmapped: readonly Unmapped[];
}

const COLUMNS = 110;

const comment = (text: string, indent = ''): string[] =>
  wrap(`${indent}${text}`, COLUMNS - 2, `${indent}  `).map(line => `# ${line}`.trimEnd());

/** A list of the comment at the top; nothing where it is empty. */
export const listed = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : [`# ${title}`, ...lines.flatMap(each => comment(`- ${each}`))];

/** The comment at the top of a file: what it is, what must be there, what it does not have. */
export const heading = (title: string, needs: readonly string[], unmapped: readonly Unmapped[]): string[] => [
  ...comment(title),
  ...listed('It needs:', needs),
  ...listed(
    'Of the deployment it does not have:',
    unmapped.map(({ path, why }) => `${path}: ${why}`),
  ),
];

/** YAML documents behind a comment. */
export const yamlFile = (head: readonly string[], documents: readonly unknown[]): string =>
  `${head.join('\n')}\n${documents.map(toYaml).join('---\n')}`;

/** A name that Kubernetes takes: RFC 1123, at most `most` characters. */
export const dnsName = (text: string, most = 50): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, most)
    .replace(/^-+|-+$/g, '') || 'windtunnel';
