// What a live run pays to be there after a SIGKILL: four lines a call (start and end of its session, the call, its step).
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppendFile } from '../../loadgen/append-file.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { simulated } from '../builders/worlds.ts';
import { cpuSeconds, type Figure } from './figure.ts';

const CALLS = 50_000;
/** A second's worth of a busy run. */
const CALLS_A_FLUSH = 500;

export function runLogCost(): Figure {
  const text = workflowText('[ { llm: ask, prefix: [system], adds: 20, out: 8 } ]', '', 1000);
  const { calls, nodes, workflows } = simulated(planOf(text));
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-bench-'));
  const files = ['workflows', 'calls', 'nodes'].map(name => new AppendFile(join(folder, `${name}.jsonl`)));
  const [ofSessions, ofCalls, ofNodes] = files as [AppendFile, AppendFile, AppendFile];
  const seconds = cpuSeconds(() => {
    for (let i = 0; i < CALLS; i++) {
      const row = i % calls.length;
      ofSessions.add(JSON.stringify(workflows[row]));
      ofCalls.add(JSON.stringify(calls[row]));
      ofNodes.add(JSON.stringify(nodes[row]));
      ofSessions.add(JSON.stringify(workflows[row]));
      if (i % CALLS_A_FLUSH === CALLS_A_FLUSH - 1) for (const file of files) file.flushSync();
    }
  });
  const bytes = ['workflows', 'calls', 'nodes']
    .map(name => statSync(join(folder, `${name}.jsonl`)).size)
    .reduce((sum, size) => sum + size, 0);
  rmSync(folder, { recursive: true });
  return {
    value: (seconds / CALLS) * 1e6,
    unit: 'µs CPU/call',
    detail: `${CALLS} sessions of one call, ${Math.round(bytes / CALLS)} bytes of log a call`,
  };
}
