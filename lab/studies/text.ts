// A study's findings as text: for the terminal, and as the Markdown that a page of docs/ includes.
import type { Claim, Findings, Study, StudyTable, Verdict } from './study.ts';

const MARKS: Record<Verdict, string> = { confirmed: '✓', partly: '~', contradicted: '✗' };

const claimLines = ({ text, verdict, figure }: Claim): string[] => [
  `  ${MARKS[verdict]} ${verdict}: ${text}`,
  `      ${figure}`,
];

/** Cells in columns, all to the left. */
function columns({ columns: head, rows }: StudyTable): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map(row => (row[i] ?? '').length)));
  return all.map(row =>
    row
      .map((cell, i) => cell.padEnd(widths[i]! + 2))
      .join('')
      .trimEnd(),
  );
}

export function findingsText({ name, question }: Study, { claims, tables, limits }: Findings): string {
  return [
    name,
    `  ${question}`,
    '',
    ...claims.flatMap(claimLines),
    ...tables.flatMap(table => ['', `  ${table.title}`, ...columns(table).map(line => `    ${line}`)]),
    '',
    ...limits.map(limit => `  note: ${limit}`),
  ].join('\n');
}

const cellText = (cell: string): string => cell.replaceAll('|', '\\|');
const markdownRow = (cells: readonly string[]): string => `| ${cells.map(cellText).join(' | ')} |`;

const markdownTable = ({ columns: head, rows }: Omit<StudyTable, 'title'>): string[] => [
  markdownRow(head),
  markdownRow(head.map(() => '---')),
  ...rows.map(markdownRow),
];

/** What was run: the command to type again, and how many runs it was. */
interface How {
  readonly command: string;
  readonly runs: number;
}

/** A page of its own. */
export const findingsMarkdown = (study: Study, findings: Findings, how: How): string =>
  `# ${study.name}\n\n${findingsBody(study, findings, how)}`;

/** Where a page of docs/ has what the command writes. */
const marks = (name: string): [below: string, above: string] => [
  `<!-- windtunnel study ${name}: below -->`,
  `<!-- windtunnel study ${name}: above -->`,
];

/** The page with what the command writes in place of what it wrote before; null: the page has no place for it. */
export function withBody(page: string, name: string, body: string): string | null {
  const [below, above] = marks(name);
  const from = page.indexOf(below);
  const to = page.indexOf(above);
  if (from < 0 || to < from) return null;
  return `${page.slice(0, from + below.length)}\n\n${body.trimEnd()}\n\n${page.slice(to)}`;
}

/** Question, verdicts, charts (light and dark), tables, how it was run, limits. */
export function findingsBody(
  { question, method }: Study,
  { claims, tables, charts, limits }: Findings,
  { command, runs }: How,
): string {
  const picture = (id: string, title: string): string =>
    [
      '<picture>',
      `  <source media="(prefers-color-scheme: dark)" srcset="${id}-dark.svg">`,
      `  <img alt="${title.replaceAll('"', '&quot;')}" src="${id}.svg">`,
      '</picture>',
    ].join('\n');
  const verdicts = {
    columns: ['claim', 'verdict', 'what we found'],
    rows: claims.map(({ text, verdict, figure }) => [text, `**${verdict}**`, figure]),
  };
  return [
    question,
    '',
    ...markdownTable(verdicts),
    ...charts.flatMap(({ id, title }) => ['', `**${title}**`, '', picture(id, title)]),
    ...tables.flatMap(({ title, ...table }) => ['', `## ${title}`, '', ...markdownTable(table)]),
    '',
    '## How it was run',
    '',
    `${method} ${runs} runs; intervals are 95 %, over seeds, paired where two settings meet the same calls.`,
    '',
    '```sh',
    command,
    '```',
    '',
    '## Limits',
    '',
    ...limits.map(limit => `- ${limit}`),
    '',
  ].join('\n');
}
