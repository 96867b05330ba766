// The documentation is tried: every whole YAML file in it compiles, or fails with the code that its comment names; every
// command line names a command and options that exist; the worked example's prompt lengths are those of the interpreter.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { resolveDeployment } from '../engines/deploy.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import type { Issue } from '../scenarios/base/issue.ts';
import { libraryPath } from '../scenarios/cli/library.ts';
import { parseDeployment } from '../scenarios/formats/deployment/deployment.ts';
import { languagePage } from '../scenarios/formats/language-page.ts';
import { parseScenario } from '../scenarios/formats/scenario.ts';
import { formatIssues, parseSource } from '../scenarios/formats/source.ts';
import { unbuiltParts } from '../scenarios/formats/unbuilt.ts';
import { readTrace } from '../scenarios/importers/read.ts';
import { walk } from '../scenarios/workflows/walk.ts';
import { compileText, firstSession, planOf } from './builders/scenarios.ts';
import { emptyFolder, ROOT, start } from './cli/run.ts';

const DOCS = join(ROOT, 'docs');

interface Block {
  /** `scenarios.md:12`, the line of its fence. */
  where: string;
  language: string;
  /** Codes of a `<!-- wrong: … -->` in front. */
  wrong: string[];
  /** Paths of a `<!-- unbuilt: … -->` in front: what a run would refuse. */
  unbuilt: string[];
  /** Library scenario of a `<!-- from: … -->` in front: the block is an excerpt of it. */
  from: string | null;
  text: string;
}

function blocksOf(file: string): Block[] {
  const blocks: Block[] = [];
  const lines = readFileSync(join(DOCS, file), 'utf8').split('\n');
  for (let row = 0; row < lines.length; row++) {
    const fence = /^```(\w*)$/.exec(lines[row]!);
    if (fence === null) continue;
    const end = lines.indexOf('```', row + 1);
    const note = (kind: string): string | undefined =>
      new RegExp(`^<!-- ${kind}: (.+) -->$`).exec(lines[row - 1] ?? '')?.[1];
    const wrong = note('wrong')?.split(' ') ?? [];
    const unbuilt = note('unbuilt')?.split(' ') ?? [];
    const from = note('from') ?? null;
    const text = `${lines.slice(row + 1, end).join('\n')}\n`;
    blocks.push({ where: `${file}:${row + 1}`, language: fence[1]!, wrong, unbuilt, from, text });
    row = end < 0 ? lines.length : end;
  }
  return blocks;
}

const files = ['.', 'gateway', 'live'].flatMap(folder =>
  readdirSync(join(DOCS, folder))
    .filter(name => name.endsWith('.md'))
    .map(name => join(folder, name)),
);
const blocks = files.flatMap(blocksOf);

// ---- YAML -----------------------------------------------------------------------------------------------------

/** The trace that the page calls `session.json`. */
const traceFile = join(ROOT, 'scenarios', 'library', 'traces', 'claude-code-session.json');

/** Problems of a scenario, as printed; '' when there is none. */
function scenarioProblems(text: string): string {
  const { traffic } = parseSource(text, 'docs').value as { traffic?: { trace?: string }[] };
  const traces = (traffic ?? []).flatMap((cohort, index) =>
    cohort.trace === undefined ? [] : [[index, readTrace([traceFile]).sessions] as const],
  );
  return compileText(text, new Map(traces)).problems;
}

function deploymentProblems(text: string): string {
  const source = parseSource(text, 'docs');
  const parsed = parseDeployment(source);
  const issues: Issue[] = [...parsed.issues];
  if (parsed.file !== null) {
    issues.push(
      ...resolveDeployment(parsed.file, 'docs', { routingPolicies: Object.keys(routingPolicies) }).issues,
    );
  }
  return formatIssues(issues, source, { colour: false });
}

const yamls = blocks.filter(block => block.language === 'yaml');
const isWhole = (block: Block): boolean => block.text.startsWith('windtunnel: 1\n');
const problemsOf = ({ text }: Block): string =>
  /^deployment:/m.test(text) ? deploymentProblems(text) : scenarioProblems(text);

describe('YAML in the documentation', () => {
  test('there is some, good and wrong', () => {
    expect(yamls.filter(isWhole).length).toBeGreaterThan(8);
    expect(yamls.filter(block => block.wrong.length > 0).length).toBeGreaterThan(4);
  });

  test.each(yamls.filter(block => !isWhole(block)))('$where is YAML', ({ text }) => {
    expect(parseSource(text, 'docs').issues).toEqual([]);
  });

  test.each(yamls.filter(isWhole))('$where compiles, or fails as it says', block => {
    const problems = problemsOf(block);
    const codes = [...problems.matchAll(/\berror {2}(WT\d{4})/g)].map(match => match[1]);
    expect(new Set(codes), problems).toEqual(new Set(block.wrong));
    if (block.wrong.length === 0) expect(problems).toBe('');
  });
});

describe('excerpts of the library', () => {
  const excerpts = blocks.filter(block => block.from !== null);

  test('there are some', () => expect(excerpts.length).toBeGreaterThan(5));

  test.each(excerpts)('$where is in $from as it stands here', ({ from, text }) => {
    const name = from as string;
    const file = libraryPath(name, 'scenarios') ?? libraryPath(name, 'deployments');
    expect(readFileSync(file as string, 'utf8')).toContain(text);
  });
});

test.each(yamls.filter(isWhole).filter(({ text }) => !/^deployment:/m.test(text)))(
  '$where: a run refuses what it says, and nothing else',
  ({ text, wrong, unbuilt }) => {
    const { file } = parseScenario(parseSource(text, 'docs'));
    if (file === null) expect(wrong).not.toEqual([]);
    else
      expect(
        unbuiltParts(file)
          .map(each => each.path.join('.'))
          .sort(),
      ).toEqual(unbuilt.toSorted());
  },
);

test('the page of the language is what its schema says; write it again with `windtunnel schema scenario --markdown`', () => {
  expect(readFileSync(join(DOCS, 'language.md'), 'utf8')).toBe(languagePage());
});

describe('the worked example of threads', () => {
  const page = 'scenarios.md';
  const rows = new Map(
    [
      ...readFileSync(join(DOCS, page), 'utf8').matchAll(
        /^\| `([^`]+)` \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|/gm,
      ),
    ].map(([, call, ...figures]) => [call!, figures.map(Number)]),
  );

  test('its table has the prompt of every call, part by part', () => {
    const text = yamls.find(block => block.text.includes('\nname: threads\n'))!.text;
    const { nodes, calls } = walk(firstSession(planOf(text)), () => 1000);
    const paths = nodes.filter(node => node.kind === 'llm').map(node => node.call);
    expect([...rows.keys()].sort()).toEqual(paths.sort());
    for (const call of calls) {
      const tokens = (...names: string[]): number =>
        call.parts.filter(part => names.includes(part.segment)).reduce((sum, part) => sum + part.tokens, 0);
      const expected = [
        tokens('system', 'company'),
        tokens('history'),
        tokens('reads'),
        tokens('input'),
        call.promptTokens,
      ];
      const told = [...rows].filter(([path]) => path.split('/').at(-1) === call.step);
      for (const [, figures] of told) expect(figures).toEqual(expected);
    }
  });
});

// ---- commands -------------------------------------------------------------------------------------------------

/** Command lines of a shell block that start with `windtunnel`, each as words; lines that go on are joined. */
const commandLines = blocks
  .filter(block => block.language === 'sh')
  .flatMap(({ where, text }) =>
    text
      .replace(/\\\n\s*/g, ' ')
      .split('\n')
      .filter(line => line.startsWith('windtunnel '))
      .map(line => ({ where, line, words: line.split(/\s+/).slice(1) })),
  );

describe('commands in the documentation', () => {
  const help = new Map<string, string>();

  beforeAll(async () => {
    const folder = emptyFolder();
    const names = new Set(['', ...commandLines.map(({ words }) => words[0]!)]);
    for (const name of names) {
      const { ended } = start(name === '' ? ['--help'] : [name, '--help'], folder);
      help.set(name, (await ended).out);
    }
  });

  test('there are some', () => expect(commandLines.length).toBeGreaterThan(15));

  test.each(commandLines)('$where: $line', ({ words }) => {
    const [command, ...rest] = words as [string, ...string[]];
    expect(help.get('')).toMatch(new RegExp(`^ {2}windtunnel ${command}\\b`, 'm'));
    for (const option of rest.map(word => word.split('=')[0]!).filter(word => /^--?[a-z]/.test(word))) {
      expect(help.get(command), `${option} of ${command}`).toMatch(
        new RegExp(`(^|[\\s,])${option}(?![\\w-])`, 'm'),
      );
    }
  });
});

// ---- links ----------------------------------------------------------------------------------------------------

test.each(files)('%s: its links lead to files, and the index names it', file => {
  const text = readFileSync(join(DOCS, file), 'utf8');
  for (const [, target] of text.matchAll(/\]\((?!https:)([^)#]+)\)/g)) {
    expect(() => readFileSync(join(DOCS, dirname(file), target!)), target).not.toThrow();
  }
  if (basename(file) === 'README.md') return;
  // A folder has its own, or the page of its name beside it.
  const index = dirname(file) === 'live' ? 'live.md' : join(dirname(file), 'README.md');
  expect(readFileSync(join(DOCS, index), 'utf8')).toContain(`(${relative(dirname(index), file)})`);
});
