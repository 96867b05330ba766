// The text of an exported script: the files of loadgen/k6 in one, behind its options and settings.
import { readFileSync } from 'node:fs';
import type { Settings } from '../k6/settings.ts';

interface ScriptParts {
  readonly title: string;
  readonly lost: readonly string[];
  readonly options: object;
  readonly settings: Settings;
  readonly sse: boolean;
}

export function scriptOf({ title, lost, options, settings, sse }: ScriptParts): string {
  const [main, asking, session] = ['script.ts', sse ? 'ask-sse.ts' : 'ask.ts', 'session.ts'].map(sourceOf);
  const { imports, body } = main as Source;
  return [
    `// ${oneLine(title)}.`,
    '// Written by `windtunnel export k6`; the sessions are in plan.json beside it, and in shared.txt the text of',
    '// what many of them hold. Run it with: k6 run script.ts',
    sse
      ? '// It needs k6/x/sse: https://github.com/phymbert/xk6-sse'
      : '// It runs on stock k6, 1.x and 2.x.',
    '//',
    '// Keys come from the environment. WINDTUNNEL_SALT: 16 hexadecimal digits, mixed into all content in place of `salt`:',
    '// so that no earlier run is found in a cache. The plan begins `leadMs` after k6 does.',
    '//',
    '// What is lost beside `windtunnel replay`:',
    ...lost.map(each => `// - ${oneLine(each)}`),
    ...imports,
    ...(asking as Source).imports,
    '',
    `export const options = ${JSON.stringify(options, null, 2)};`,
    '',
    `const SETTINGS: Settings = ${JSON.stringify(settings, null, 1)};`,
    '',
    (session as Source).body,
    (asking as Source).body,
    sourceOf('settings.ts').body,
    body,
  ].join('\n');
}

const oneLine = (text: string): string => text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');

interface Source {
  readonly imports: readonly string[];
  readonly body: string;
}

/** A file of loadgen/k6 as a part of one script: imports of ours are gone, and only what k6 calls is exported. */
function sourceOf(file: string): Source {
  const text = readFileSync(new URL(`../k6/${file}`, import.meta.url), 'utf8');
  const imports = text.match(/^import [^;]+ from 'k6[^']*';$/gm) ?? [];
  const body = text
    .replace(/^import [^;]+;\n/gm, '')
    .replace(/^declare const SETTINGS: Settings;\n/m, '')
    .replace(file === 'script.ts' ? /(?!)/ : /^export (?=\w)/gm, '');
  return { imports, body };
}
