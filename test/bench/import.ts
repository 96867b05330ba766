// Benchmarks of the importers: synthetic traces written to a temporary folder, read session by session, and deleted.
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { extend, seedKey, uniform } from '../../scenarios/base/key.ts';
import { emptyTally } from '../../scenarios/importers/importer.ts';
import { traceSessions } from '../../scenarios/importers/read.ts';
import type { Figure } from './figure.ts';

/** Chats at a time, turns of each, and calls a second: about Mooncake's. */
const LIVE = 200;
const TURNS = 5;
const CALLS_PER_SEC = 3.4;
const BLOCK_TOKENS = 512;

/** Chats that share a system prompt and grow by turns, in Mooncake's form: no session is named. */
function* mooncakeLines(): Generator<string> {
  const root = seedKey('import bench');
  const chats: { turn: number; tokens: number; ids: number[] }[] = [];
  let nextId = 1;
  for (let row = 0; ; row += 1) {
    const draw = (what: number): number => uniform(extend(root, row, what));
    const slot = Math.floor(draw(0) * LIVE);
    const before = chats[slot];
    const chat = before === undefined || before.turn === TURNS ? { turn: 0, tokens: 900, ids: [0] } : before;
    const output = Math.floor(50 + draw(1) * 450);
    chat.turn += 1;
    chat.tokens += Math.floor(200 + draw(2) * 6000);
    const full = Math.floor(chat.tokens / BLOCK_TOKENS);
    while (chat.ids.length < full) chat.ids.push(nextId++);
    const ids = [...chat.ids, nextId++].join(', ');
    const timestamp = Math.floor((row * 1000) / CALLS_PER_SEC);
    yield `{"timestamp": ${timestamp}, "input_length": ${chat.tokens + 1}, "output_length": ${output}, "hash_ids": [${ids}]}\n`;
    chat.tokens += output;
    chats[slot] = chat;
  }
}

function* azureLines(): Generator<string> {
  const root = seedKey('import bench');
  const two = (value: number): string => String(value).padStart(2, '0');
  yield 'TIMESTAMP,ContextTokens,GeneratedTokens\n';
  for (let row = 0; ; row += 1) {
    const ms = row * 40;
    const clock = [3_600_000, 60_000, 1000].map((unit, part) =>
      two(Math.floor(ms / unit) % (part === 0 ? 24 : 60)),
    );
    const day = two(10 + Math.floor(ms / 86_400_000));
    const fraction = String((ms % 1000) * 10_000 + 1230).padStart(7, '0');
    const input = Math.floor(1 + uniform(extend(root, row)) * 4000);
    yield `2024-05-${day} ${clock.join(':')}.${fraction},${input},${1 + (row % 500)}\n`;
  }
}

/** Writes lines until there are `rows` of them or `bytes`. */
function writeTrace(path: string, lines: Iterable<string>, limit: { rows: number; bytes: number }): void {
  const fd = openSync(path, 'w');
  let rows = 0;
  let bytes = 0;
  let chunk = '';
  for (const line of lines) {
    chunk += line;
    rows += 1;
    bytes += line.length;
    const isDone = rows >= limit.rows || bytes >= limit.bytes;
    if (chunk.length > 1 << 20 || isDone) {
      writeSync(fd, chunk);
      chunk = '';
    }
    if (isDone) break;
  }
  closeSync(fd);
}

/** Bytes on the heap that are in use, garbage collected first. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

/** Reads a trace through to its end: speed, and what stays in memory between its first 100,000 calls and its end. */
function importFigure(
  name: string,
  lines: Iterable<string>,
  limit: { rows?: number; bytes?: number },
): Figure {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  try {
    const path = join(folder, name);
    writeTrace(path, lines, {
      rows: limit.rows ?? Number.POSITIVE_INFINITY,
      bytes: limit.bytes ?? Number.POSITIVE_INFINITY,
    });
    const tally = emptyTally();
    let calls = 0;
    let early = 0;
    let late = 0;
    let rss = 0;
    let pausedMicros = 0;
    const measured = <T>(measure: () => T): T => {
      const before = process.cpuUsage();
      const result = measure();
      const { user, system } = process.cpuUsage(before);
      pausedMicros += user + system;
      return result;
    };
    const before = process.cpuUsage();
    const expected = limit.rows ?? Number.POSITIVE_INFINITY;
    for (const session of traceSessions([path], { strict: true }, tally)) {
      const from = calls;
      calls += session.calls.length;
      if (from < 100_000 && calls >= 100_000) early = measured(heapBytes);
      // While sessions are still open, as they were then.
      if (from < expected * 0.9 && calls >= expected * 0.9) late = measured(heapBytes);
      if (Math.floor(from / 10_000) < Math.floor(calls / 10_000))
        rss = Math.max(rss, process.memoryUsage().rss);
    }
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system - pausedMicros) / 1e6;
    if (late === 0) late = heapBytes();
    const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
    return {
      value: calls / seconds,
      unit: 'calls/cpu-s',
      detail:
        `${calls} calls in ${tally.totals.sessions} sessions, ${seconds.toFixed(1)} CPU s; heap ${megabytes(early)} after ` +
        `100,000 calls, ${megabytes(late)} ${limit.rows === undefined ? 'at the end' : 'after 90 %'}; peak RSS ${megabytes(rss)}`,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const importMooncake = (): Figure =>
  importFigure('mooncake.jsonl', mooncakeLines(), { rows: 1_000_000 });
export const importAzure = (): Figure => importFigure('azure.csv', azureLines(), { rows: 1_000_001 });
export const importGigabyte = (): Figure => importFigure('mooncake.jsonl', mooncakeLines(), { bytes: 1e9 });
