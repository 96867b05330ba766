// Imports point one way, every package has its home, and the pure folders stay pure.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const FOLDERS = ['scenarios', 'gateway', 'engines', 'sim', 'loadgen', 'reports', 'lab'] as const;
type Folder = (typeof FOLDERS)[number];

const MAY_IMPORT: Record<Folder, readonly Folder[]> = {
  scenarios: [],
  gateway: ['scenarios'],
  engines: ['scenarios'],
  sim: ['scenarios', 'gateway', 'engines'],
  loadgen: ['scenarios', 'gateway', 'engines'],
  reports: ['scenarios'],
  lab: ['scenarios', 'gateway', 'engines', 'sim', 'loadgen', 'reports'],
};

/** Where a package may be imported; prefixes of paths from the root. */
const HOMES: Record<string, readonly string[]> = {
  seedrandom: ['scenarios/base/key.ts'],
  zod: ['scenarios/formats/', 'lab/backtest/experiment.ts'],
  yaml: ['scenarios/formats/source.ts'],
  undici: ['loadgen/client.ts', 'loadgen/connect.ts', 'loadgen/transport/'],
  '@faker-js/faker/locale/en': ['loadgen/prompts/candidates.ts'],
  'simple-statistics': ['scenarios/base/statistics.ts'],
  vega: ['reports/render.ts'],
  'vega-lite': ['reports/render.ts'],
  hyparquet: ['reports/session.ts', 'reports/table-files.ts'],
  'hyparquet-writer': ['reports/parquet.ts'],
  bullmq: ['lab/queue/'],
  ioredis: ['lab/queue/'],
  'k6/data': ['loadgen/k6/'],
  'k6/execution': ['loadgen/k6/'],
  'k6/http': ['loadgen/k6/'],
  'k6/metrics': ['loadgen/k6/'],
  'k6/x/sse': ['loadgen/k6/'],
  yargs: [
    'windtunnel.ts',
    'scenarios/cli/',
    'scenarios/command.ts',
    'sim/command.ts',
    'loadgen/command.ts',
    'loadgen/live-options.ts',
    'lab/compare/fresh.ts',
    'lab/queue/options.ts',
    'lab/size/command.ts',
    'reports/command.ts',
  ],
};

/** Files that may touch the disk, the clock and the process; everything else in these folders is pure. */
const RIMS = [
  'scenarios/cli/',
  'scenarios/command.ts',
  'scenarios/importers/paths.ts',
  'scenarios/importers/read.ts',
  'scenarios/importers/servegen/read.ts',
  'gateway/routing/outside.ts',
  'engines/load.ts',
  'engines/command.ts',
  'engines/user-catalog.ts',
  'sim/command.ts',
  'sim/emulator/',
  'reports/publish.ts',
  'reports/chart-files.ts',
  'reports/bench/publish.ts',
  'reports/compare/publish.ts',
  'reports/size/publish.ts',
  'reports/sweep/publish.ts',
  'reports/trace/publish.ts',
  'reports/command.ts',
  'reports/inputs.ts',
  'reports/render.ts',
  'reports/run-log.ts',
  'reports/serve/',
  'reports/session.ts',
  'reports/runtime.ts',
  'reports/table-files.ts',
  'reports/terminal.ts',
];
const PURE: readonly Folder[] = ['scenarios', 'gateway', 'engines', 'sim', 'reports'];
const IMPURE =
  /\b(Date\.now|new Date|performance\.now|Math\.random|process\.|setTimeout\(|setInterval\()|from 'node:/;

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder)).flatMap(name => {
    const path = join(folder, name);
    if (statSync(join(ROOT, path)).isDirectory()) return sources(path);
    return path.endsWith('.ts') ? [path] : [];
  });
}

const importsOf = (text: string): string[] =>
  [...text.matchAll(/^(?:import|export)\b[^'"`;]*\bfrom '([^']+)'|\bimport\('([^']+)'\)/gm)].map(
    match => (match[1] ?? match[2]) as string,
  );

/** Comments do not run. */
const code = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '');

const files = FOLDERS.flatMap(folder => sources(folder)).map(path => ({
  path,
  text: code(readFileSync(join(ROOT, path), 'utf8')),
}));

describe('structure', () => {
  test('imports between folders point one way', () => {
    const wrong: string[] = [];
    for (const { path, text } of files) {
      const from = path.split('/')[0] as Folder;
      for (const target of importsOf(text).filter(each => each.startsWith('.'))) {
        const to = relative(ROOT, resolve(ROOT, dirname(path), target)).split('/')[0] as Folder;
        const known = (FOLDERS as readonly string[]).includes(to);
        if (known && to !== from && !MAY_IMPORT[from].includes(to)) wrong.push(`${path} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('packages are imported in their homes only', () => {
    const wrong: string[] = [];
    for (const { path, text } of files) {
      for (const name of importsOf(text).filter(each => !each.startsWith('.') && !each.startsWith('node:'))) {
        const home = HOMES[name];
        if (home === undefined) wrong.push(`${path} imports ${name}, which has no home`);
        else if (!home.some(prefix => path.startsWith(prefix)))
          wrong.push(`${path} imports ${name}, whose home is ${home.join(', ')}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('pure code has no clock, no chance, no process and no disk', () => {
    const wrong = files
      .filter(
        ({ path }) =>
          PURE.some(folder => path.startsWith(`${folder}/`)) && !RIMS.some(rim => path.startsWith(rim)),
      )
      .filter(({ text }) => IMPURE.test(text))
      .map(({ path, text }) => `${path}: ${IMPURE.exec(text)?.[0]}`);
    expect(wrong).toEqual([]);
  });

  test('there are no files named utils, helpers or types', () => {
    expect(files.map(({ path }) => path).filter(path => /\/(utils?|helpers?|types)\.ts$/.test(path))).toEqual(
      [],
    );
  });
});
