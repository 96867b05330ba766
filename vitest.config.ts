import { defineConfig } from 'vitest/config';

// Files named *.live.test.ts measure time against real processes: `LIVE=1` runs them alone, one after the other.
const live = process.env.LIVE === '1';

export default defineConfig({
  test: {
    include: live ? ['test/**/*.live.test.ts'] : ['test/**/*.test.ts'],
    globalSetup: live ? ['test/builders/live-servers.ts'] : [],
    exclude: live ? [] : ['test/**/*.live.test.ts'],
    testTimeout: live ? 300_000 : 60_000,
    hookTimeout: live ? 300_000 : 60_000,
    maxWorkers: live ? 1 : 2,
    fileParallelism: !live,
    reporters: process.env.GITHUB_ACTIONS ? ['default', 'github-actions'] : ['default'],
  },
});
