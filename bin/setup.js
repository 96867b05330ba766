// Makes each of the README's two commands work alone on a fresh clone: installs the locked dependencies when they
// are missing or older than the lockfile, then runs what follows, e.g. "node bin/setup.js test". Plain JavaScript.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { recentNode, root, run, tooOld } from './node24.js';

function installed() {
  const marker = join(root, 'node_modules', '.package-lock.json');
  const lock = join(root, 'package-lock.json');
  return (
    existsSync(marker) && statSync(marker).mtimeMs >= statSync(lock).mtimeMs - 1000 && recentNode() !== null
  );
}

async function steps(commands) {
  for (const [title, args, environment] of commands) {
    console.error(`\n> ${title}`);
    const code = await run(recentNode(), args, { cwd: root, env: { ...process.env, ...environment } });
    if (code !== 0) return code;
  }
  return 0;
}

async function main([what, ...rest]) {
  if (!installed()) {
    console.error('installing the locked dependencies (once)…');
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    const code = await run(npm, ['ci', '--no-audit', '--no-fund'], {
      cwd: root,
      shell: process.platform === 'win32',
    });
    if (code !== 0) return code;
  }
  if (recentNode() === null) {
    console.error(tooOld);
    return 1;
  }
  const bin = path => join(root, 'node_modules', path);
  const vitest = bin('vitest/vitest.mjs');
  switch (what) {
    case 'windtunnel':
      return run(recentNode(), [
        '--disable-warning=ExperimentalWarning',
        join(root, 'windtunnel.ts'),
        ...rest,
      ]);
    case 'bench':
      return run(recentNode(), [join(root, 'test/bench/bench.ts'), ...rest]);
    case 'test':
      if (rest.length > 0) {
        const live = rest.some(arg => arg.includes('live')) ? { LIVE: '1' } : {};
        return steps([['vitest', [vitest, 'run', ...rest], live]]);
      }
      return steps([
        ['lint and format (biome)', [bin('@biomejs/biome/bin/biome'), 'ci', '.'], {}],
        ['types (tsc)', [bin('typescript/bin/tsc'), '-p', root], {}],
        ['tests (vitest)', [vitest, 'run'], {}],
        ['tests against live processes, one after the other (vitest)', [vitest, 'run'], { LIVE: '1' }],
      ]);
    default:
      console.error(`setup: unknown task "${what}" (windtunnel, test or bench)`);
      return 104;
  }
}

process.exitCode = await main(process.argv.slice(2));
