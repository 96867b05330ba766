// What is imported against what is replayed: the prompts of a plan hold the hits that the import counted.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { RecordedCall, RecordedSession } from '../../scenarios/formats/recorded.ts';
import { FileCache } from '../../scenarios/importers/parts/hits.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { contentOf } from '../../scenarios/workflows/recorded-content.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { blockHashes } from '../../sim/reference/block-hash.ts';
import { compileText, sessionsOf } from '../builders/scenarios.ts';
import { DEPLOYMENT, simulated } from '../builders/worlds.ts';

const samples = fileURLToPath(new URL('../../../shared/data/traces/mooncake/', import.meta.url));
const ENGINE_BLOCK = 64;

describe.skipIf(!existsSync(samples))('Mooncake, replayed (skipped where ../shared is absent)', () => {
  for (const name of ['conversation.head', 'synthetic.head']) {
    test(`${name}: an engine that never evicts finds what the trace's own blocks say, to the engine's block`, () => {
      const { sessions, report } = readTrace([`${samples}${name}.jsonl`]);
      // Rows of the file, by what tells them apart.
      const prompts = new Map<string, number[]>();
      for (const session of sessions) {
        const content = contentOf(session);
        for (const call of session.calls)
          prompts.set(
            `${call.promptTokens} ${call.blocks.join(' ')}`,
            blockHashes(content.get(call.id)!.prompt, ENGINE_BLOCK),
          );
      }
      const known = new Set<number>();
      const cached = new Set<number>();
      let hitTokens = 0;
      for (const line of readFileSync(`${samples}${name}.jsonl`, 'utf8').trim().split('\n')) {
        const row = JSON.parse(line) as { input_length: number; hash_ids: number[] };
        let blocks = 0;
        while (known.has(row.hash_ids[blocks] ?? -1)) blocks += 1;
        for (const id of row.hash_ids) known.add(id);
        const inTrace = Math.min(blocks * 512, row.input_length);
        const hashes = prompts.get(`${row.input_length} ${row.hash_ids.join(' ')}`)!;
        const firstNew = hashes.findIndex(hash => !cached.has(hash));
        const inEngine = (firstNew < 0 ? hashes.length : firstNew) * ENGINE_BLOCK;
        for (const hash of hashes) cached.add(hash);
        // The engine does not name what is left of the prompt behind its last full block.
        expect(inEngine).toBe(Math.floor(inTrace / ENGINE_BLOCK) * ENGINE_BLOCK);
        hitTokens += inTrace;
      }
      expect(hitTokens).toBe(report.totals.hitTokens);
    });
  }
});

const FAST = 'base: 10us, per_token: 1ns, per_sequence: 1ns, per_context_token: 0ns';

// A real cluster finds less: it evicts, spreads sessions over replicas, and computes twice what arrives at once.
describe.skipIf(!existsSync(samples))('Mooncake, simulated (skipped where ../shared is absent)', () => {
  test('a run on one fast replica that never evicts finds in its cache what the import counted', () => {
    const { sessions } = readTrace([`${samples}conversation.head.jsonl`]);
    const first = sessions.filter(session => session.arrivalMs! < 90_000);
    const text = `
windtunnel: 1
traffic: [ { trace: recorded, arrival: { recorded: true } } ]`;
    const { compiled, problems } = compileText(text, new Map([[0, first]]));
    if (compiled?.plan == null) throw new Error(problems);
    const { calls } = simulated(
      compiled.plan,
      DEPLOYMENT('', `model: affine, ${FAST}`).replace(
        'max_model_len: 65536, kv_blocks: 65536',
        'max_model_len: 262144, kv_blocks: 4000000',
      ),
    );
    const order = first
      .flatMap(session =>
        session.calls.map(call => ({ call, atMs: session.arrivalMs! + call.recorded.startMs })),
      )
      .toSorted((a, b) => a.atMs - b.atMs);
    const cache = new FileCache();
    let hitTokens = 0;
    for (const { call } of order) hitTokens += cache.hits(call.blocks, call.promptTokens, 512).hitTokens;
    const cachedTokens = calls.reduce((sum, call) => sum + (call.cachedTokens ?? 0), 0);
    expect(calls.every(call => call.outcome === 'ok')).toBe(true);
    expect(cachedTokens).toBe(hitTokens);
  });
});

describe('the plan of a recorded session', () => {
  const call = (row: number, rest: Partial<RecordedCall>): RecordedCall => ({
    id: `main/${row}`,
    agent: 'main',
    model: 'm',
    parents: row === 0 ? [] : [`main/${row - 1}`],
    gapMs: 0,
    gapKind: 'unknown',
    gapProvenance: 'recorded',
    tool: null,
    promptTokens: 1000,
    outputTokens: 100,
    reasoningTokens: 0,
    blocks: [],
    recorded: { startMs: 0, ttftMs: null, e2eMs: null, cachedTokens: null, error: null },
    primedTokens: 0,
    ...rest,
  });
  const session: RecordedSession = {
    id: 's',
    source: 's.jsonl',
    tenant: null,
    user: null,
    arrivalMs: 0,
    blockTokens: 100,
    blockScope: 'test/s',
    systemTokens: 0,
    calls: [
      call(0, { primedTokens: 400, blocks: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }),
      call(1, { primedTokens: 0, reasoningTokens: 60 }),
    ],
  };
  const callsOf = (cohort: string) => {
    const text = `
windtunnel: 1
models: { m: { model: ministral-3-14b } }
traffic: [ { trace: recorded, ${cohort} arrival: { at_once: true } } ]`;
    const { compiled, problems } = compileText(text, new Map([[0, [session]]]));
    if (compiled?.plan == null) throw new Error(problems);
    return walk(sessionsOf(compiled.plan)[0]!).calls;
  };

  test('primed tokens are warm without asking, and a warm start adds to them', () => {
    expect(callsOf('').map(each => each.warmTokens)).toEqual([400, 0]);
    // All full blocks before the last.
    expect(callsOf('warm: true,').map(each => each.warmTokens)).toEqual([900, 0]);
    expect(callsOf('scale_tokens: 0.5,').map(each => each.warmTokens)).toEqual([200, 0]);
  });

  test('reasoning tokens are part of the output', () => {
    expect(callsOf('').map(each => [each.outputTokens, each.reasoningTokens])).toEqual([
      [100, 0],
      [100, 60],
    ]);
  });
});
