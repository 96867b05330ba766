// What the page carries besides the data: the Vega runtime, its interpreter (so that no expression needs eval), and
// the page's own script and style. Read from the installed packages and from reports/page.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

export interface PageRuntime {
  /** Script that defines the global `vega` with `expressionInterpreter`; gzip, base64. */
  vega: string;
  script: string;
  style: string;
  /** Text to gzip, base64. */
  pack(text: string): string;
}

const pack = (text: string): string => gzipSync(text, { level: 9 }).toString('base64');

/** The interpreter is a module of three imports, all of which the vega global has. */
function asScript(module: string): string {
  const body = module
    .replace(/^import \{([^}]*)\} from 'vega-util';$/m, 'const {$1} = vega;')
    .replace(
      /^export \{ expression as expressionInterpreter \};$/m,
      'vega.expressionInterpreter = expression;',
    )
    .replace(/^\/\/# sourceMappingURL=.*$/m, '');
  if (/^(import|export) /m.test(body) || !body.includes('vega.expressionInterpreter =')) {
    throw new Error('vega-interpreter has changed its imports or exports: adapt reports/runtime.ts');
  }
  return `(function () {\n${body}\n})();`;
}

/** The page's own script: these modules in one scope; the last one starts it. */
const SCRIPTS = ['draw', 'tables', 'zoom', 'picker', 'links', 'start'];

async function scriptText(): Promise<string> {
  const texts = await Promise.all(
    SCRIPTS.map(name => readFile(new URL(`./page/script/${name}.js`, import.meta.url), 'utf8')),
  );
  const joined = texts.map(text =>
    text.replace(/^import \{[^}]*\} from '\.\/[a-z]+\.js';$/gm, '').replace(/^export /gm, ''),
  );
  return `(() => {\n${joined.join('\n')}})();`;
}

let loaded: Promise<PageRuntime> | null = null;

async function load(): Promise<PageRuntime> {
  const ofPackage = (name: string) => fileURLToPath(import.meta.resolve(name));
  const [vega, interpreter, script, style] = await Promise.all([
    readFile(ofPackage('vega').replace(/vega\.module\.js$/, 'vega.min.js'), 'utf8'),
    readFile(ofPackage('vega-interpreter'), 'utf8'),
    scriptText(),
    readFile(new URL('./page/page.css', import.meta.url), 'utf8'),
  ]);
  return { vega: pack(`${vega}\n;${asScript(interpreter)}`), script, style, pack };
}

/** Loads the runtime once. */
export function loadRuntime(): Promise<PageRuntime> {
  loaded ??= load();
  return loaded;
}
