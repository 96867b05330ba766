#!/usr/bin/env node
// The command: runs windtunnel.ts in this Node when it is recent enough, else in the pinned one.

import * as module from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isRecentNode, recentNode, root, run, tooOld } from './node24.js';

const main = join(root, 'windtunnel.ts');
// Compiled code is kept in the clone, which halves the start. Where that cannot be written, it is left alone.
const cache = process.env.NODE_COMPILE_CACHE || join(root, 'node_modules', '.cache', 'windtunnel');
if (/[\\/]node_modules[\\/]/.test(root)) {
  console.error(
    'windtunnel runs from a clone for now: Node does not strip types under node_modules, and no build is published yet.',
  );
  process.exit(1);
}
if (isRecentNode()) {
  module.enableCompileCache(cache);
  await import(pathToFileURL(main).href);
} else {
  const node = recentNode();
  if (!node) {
    console.error(tooOld);
    process.exitCode = 1;
  } else {
    process.exitCode = await run(
      node,
      ['--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)],
      { env: { ...process.env, NODE_COMPILE_CACHE: cache } },
    );
  }
}
