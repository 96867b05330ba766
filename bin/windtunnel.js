#!/usr/bin/env node
// The command: runs windtunnel.ts in this Node when it is recent enough, else in the pinned one.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isRecentNode, recentNode, root, run, tooOld } from './node24.js';

const main = join(root, 'windtunnel.ts');
if (/[\\/]node_modules[\\/]/.test(root)) {
  console.error(
    'windtunnel runs from a clone for now: Node does not strip types under node_modules, and no build is published yet.',
  );
  process.exit(1);
}
if (isRecentNode()) {
  await import(pathToFileURL(main).href);
} else {
  const node = recentNode();
  if (!node) {
    console.error(tooOld);
    process.exitCode = 1;
  } else {
    process.exitCode = await run(node, [
      '--disable-warning=ExperimentalWarning',
      main,
      ...process.argv.slice(2),
    ]);
  }
}
