// Run by hand on a machine with nothing else to do: the whole ladder, and its table. docs/live/calibrate.md
//
//   . .ci/parts && node_modules/.bin/node test/ladder/calibrate.ts [--url URL] [--deployment FILE] [--levels 0.3,0.6,0.8]
//     [--repeats 3] [--sessions 60] [--minutes 5] [--out FOLDER]
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startVllm } from '../builders/vllm.ts';
import { climb, ladderText } from './ladder.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    deployment: { type: 'string' },
    levels: { type: 'string', default: '0.3,0.6,0.8' },
    repeats: { type: 'string', default: '3' },
    sessions: { type: 'string', default: '60' },
    minutes: { type: 'string', default: '5' },
    out: { type: 'string' },
  },
});
const folder = resolve(values.out ?? mkdtempSync(join(tmpdir(), 'windtunnel-ladder-')));
mkdirSync(folder, { recursive: true });
const server = values.url === undefined ? await startVllm() : { url: values.url, close: async () => {} };
try {
  const repeats = Number(values.repeats);
  const rows = climb({
    url: server.url,
    folder,
    levels: values.levels.split(',').map(Number),
    repeats,
    sessions: Number(values.sessions),
    calibrate: ['--minutes', values.minutes, '--hardware', 'cpu, one core'],
    deployment: values.deployment === undefined ? null : resolve(values.deployment),
    log: text => process.stderr.write(`${text.trimEnd()}\n`),
  });
  writeFileSync(join(folder, 'ladder.json'), `${JSON.stringify(rows, null, 1)}\n`);
  process.stdout.write(`${ladderText(rows, repeats)}\n`);
  process.exitCode = rows.every(({ pass }) => pass) ? 0 : 99;
} finally {
  await server.close();
}
