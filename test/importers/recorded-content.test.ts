// Laws of recorded content: runs add up, prompts share what their ids say, and scaling keeps both.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keyText } from '../../scenarios/base/key.ts';
import { type Run, runTokens } from '../../scenarios/formats/prompt.ts';
import type { RecordedCall, RecordedSession } from '../../scenarios/formats/recorded.ts';
import { contentOf } from '../../scenarios/workflows/recorded-content.ts';

const BLOCK = 8;

function call(
  agent: string,
  row: number,
  promptTokens: number,
  outputTokens: number,
  blocks: number[],
  rest: Partial<RecordedCall> = {},
): RecordedCall {
  return {
    id: `${agent}/${row}`,
    agent,
    model: 'm',
    parents: [],
    gapMs: 0,
    gapKind: 'tool',
    gapProvenance: 'recorded',
    tool: null,
    promptTokens,
    outputTokens,
    reasoningTokens: 0,
    blocks,
    recorded: { startMs: 0, ttftMs: null, e2eMs: null, cachedTokens: null, error: null },
    primedTokens: 0,
    ...rest,
  };
}

const session = (calls: RecordedCall[]): RecordedSession => ({
  id: 's',
  source: 's.json',
  tenant: null,
  user: null,
  arrivalMs: null,
  blockTokens: BLOCK,
  blockScope: 'test/s',
  systemTokens: 0,
  calls,
});

/** Every token of the runs by name, the plain reading of what runs mean. */
const tokensOf = (runs: readonly Run[]): string[] =>
  runs.flatMap(run =>
    Array.from({ length: run.tokens }, (_, index) => `${keyText(run.key)}:${run.from + index}`),
  );

function sharedHead(a: readonly string[], b: readonly string[]): number {
  const end = Math.min(a.length, b.length);
  for (let index = 0; index < end; index += 1) if (a[index] !== b[index]) return index;
  return end;
}

/** Conversations that grow by output and input, now and then fall back, one or two agents on a common head. */
const sessions = fc
  .array(
    fc.record({
      agent: fc.constantFrom('main', 'helper'),
      grow: fc.integer({ min: -20, max: 60 }),
      forget: fc.boolean(),
      outputTokens: fc.integer({ min: 1, max: 40 }),
      reasoningRatio: fc.constantFrom(0, 0, 0.5, 1),
    }),
    { minLength: 1, maxLength: 10 },
  )
  .map(steps => {
    let minted = 100;
    const last = new Map<string, { promptTokens: number; blocks: number[] }>();
    const calls = steps.map(({ agent, grow, forget, outputTokens, reasoningRatio }, row) => {
      const before = last.get(agent) ?? { promptTokens: 20, blocks: [0, 1] };
      const promptTokens = Math.max(1, before.promptTokens + grow);
      const count = Math.floor(promptTokens / BLOCK);
      const blocks = before.blocks.slice(0, forget ? Math.min(2, count) : count);
      while (blocks.length < count) blocks.push(minted++);
      last.set(agent, { promptTokens, blocks });
      const reasoningTokens = Math.floor(outputTokens * reasoningRatio);
      return call(agent, row, promptTokens, outputTokens, blocks, { reasoningTokens });
    });
    return session(calls);
  });

const scales = fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 1, noNaN: true }));
const place = (tokens: number, scale: number): number =>
  tokens === 0 ? 0 : Math.max(1, Math.floor(tokens * scale));

describe('contentOf', () => {
  test('law: the runs of every call add up to its tokens, at least one each', () => {
    fc.assert(
      fc.property(sessions, scales, (recorded, scaleTokens) => {
        const content = contentOf(recorded, { scaleTokens });
        for (const one of recorded.calls) {
          const { prompt, promptTokens, output, outputTokens, reasoningTokens } = content.get(one.id)!;
          expect(reasoningTokens).toBeLessThanOrEqual(outputTokens);
          expect(promptTokens).toBe(place(one.promptTokens, scaleTokens));
          expect(runTokens(prompt)).toBe(promptTokens);
          expect(runTokens(output)).toBe(outputTokens);
          expect(outputTokens).toBeGreaterThanOrEqual(1);
          expect([...prompt, ...output].every(run => run.tokens > 0 && run.from >= 0)).toBe(true);
        }
      }),
    );
  });

  test('law: two prompts share the leading tokens that they share at full size, moved to the scale', () => {
    fc.assert(
      fc.property(sessions, scales, (recorded, scaleTokens) => {
        const full = contentOf(recorded);
        const scaled = contentOf(recorded, { scaleTokens });
        for (const a of recorded.calls) {
          for (const b of recorded.calls) {
            const shared = sharedHead(tokensOf(full.get(a.id)!.prompt), tokensOf(full.get(b.id)!.prompt));
            const got = sharedHead(tokensOf(scaled.get(a.id)!.prompt), tokensOf(scaled.get(b.id)!.prompt));
            expect(got).toBe(place(shared, scaleTokens));
          }
        }
      }),
    );
  });

  test('law: at full size two prompts share their common blocks, and less than a block beyond them', () => {
    fc.assert(
      fc.property(sessions, recorded => {
        const content = contentOf(recorded);
        for (const a of recorded.calls) {
          for (const b of recorded.calls) {
            if (a === b) continue;
            let common = 0;
            while (common < a.blocks.length && a.blocks[common] === b.blocks[common]) common += 1;
            const shared = sharedHead(
              tokensOf(content.get(a.id)!.prompt),
              tokensOf(content.get(b.id)!.prompt),
            );
            expect(shared).toBeGreaterThanOrEqual(common * BLOCK);
            expect(shared).toBeLessThan((common + 1) * BLOCK);
          }
        }
      }),
    );
  });

  test('law: scaled totals are the scale times the totals, within two tokens a call', () => {
    fc.assert(
      fc.property(sessions, scales, (recorded, scaleTokens) => {
        const content = contentOf(recorded, { scaleTokens });
        for (const one of recorded.calls) {
          const { promptTokens, outputTokens } = content.get(one.id)!;
          expect(Math.abs(promptTokens - one.promptTokens * scaleTokens)).toBeLessThanOrEqual(1);
          expect(Math.abs(outputTokens - one.outputTokens * scaleTokens)).toBeLessThanOrEqual(2);
        }
      }),
    );
  });

  test('a call that is extended gives its tail and output to the prompt that extends it', () => {
    const content = contentOf(
      session([call('main', 0, 20, 10, [0, 1]), call('main', 1, 35, 3, [0, 1, 2, 3])]),
    );
    const [first, second] = [content.get('main/0')!, content.get('main/1')!];
    const both = [...tokensOf(first.prompt), ...tokensOf(first.output)];
    expect(both).toEqual(tokensOf(second.prompt).slice(0, 30));
  });

  test('an output that the next prompt has no room for is content of its own; the tail is still named', () => {
    const content = contentOf(
      session([call('main', 0, 20, 30, [0, 1]), call('main', 1, 35, 3, [0, 1, 2, 3])]),
    );
    const [first, second] = [content.get('main/0')!, content.get('main/1')!];
    expect(tokensOf(first.prompt)).toEqual(tokensOf(second.prompt).slice(0, 20));
    expect(tokensOf(second.prompt)).not.toContain(tokensOf(first.output)[0]);
  });

  test('reasoning comes first in an output and leaves the context: the next prompt goes on with what is visible', () => {
    const content = contentOf(
      session([
        call('main', 0, 20, 10, [0, 1], { reasoningTokens: 6 }),
        call('main', 1, 27, 3, [0, 1, 2]),
        call('main', 2, 40, 3, [0, 1, 2, 3, 4]),
      ]),
    );
    const [first, second] = [content.get('main/0')!, content.get('main/1')!];
    const output = tokensOf(first.output);
    expect(first.reasoningTokens).toBe(6);
    expect(output).toHaveLength(10);
    // 20 of the prompt and 4 visible tokens: there was room for them, not for all ten.
    expect([...tokensOf(first.prompt), ...output.slice(6)]).toEqual(tokensOf(second.prompt).slice(0, 24));
    expect(tokensOf(content.get('main/2')!.prompt)).not.toContain(output[0]);
  });

  test('a partial last block that has an id is shared with the same prompt only', () => {
    const content = contentOf(
      session([
        call('main', 0, 20, 4, [0, 1, 2]),
        call('main', 1, 20, 4, [0, 1, 2]),
        call('main', 2, 40, 4, [0, 1, 3, 4, 5]),
      ]),
    );
    const prompt = (row: number): string[] => tokensOf(content.get(`main/${row}`)!.prompt);
    expect(prompt(1)).toEqual(prompt(0));
    expect(sharedHead(prompt(0), prompt(2))).toBe(16);
  });

  test('two sessions of a file-wide scope share what their ids say, and nothing else', () => {
    const wide = (id: string, blocks: number[]): RecordedSession => ({
      ...session([call('main', 0, 30, 4, blocks)]),
      id,
      blockScope: 'test/file:f',
    });
    const prompts = [wide('a', [0, 1, 2]), wide('b', [0, 1, 3]), wide('c', [])].map(each =>
      tokensOf(contentOf(each).get('main/0')!.prompt),
    );
    expect(sharedHead(prompts[0]!, prompts[1]!)).toBe(16);
    expect(new Set(prompts.flat()).size).toBe(16 + 14 + 14 + 30);
  });

  test('primed tokens are within the prompt and scale with it', () => {
    const recorded = session([
      call('main', 0, 45, 4, [0, 1, 2, 3, 4], { primedTokens: 24 }),
      call('main', 1, 60, 4, [0, 1, 2, 3, 4, 5, 6], { primedTokens: 1000 }),
    ]);
    const primed = (scaleTokens: number): number[] =>
      [...contentOf(recorded, { scaleTokens }).values()].map(each => each.primedTokens).toSorted();
    expect(primed(1)).toEqual([24, 60]);
    expect(primed(0.5)).toEqual([12, 30]);
  });

  test('another agent does not name a tail, and a call without whole blocks is extended by none', () => {
    const content = contentOf(
      session([
        call('main', 0, 20, 4, [0, 1]),
        call('helper', 1, 40, 4, [0, 1, 2, 3, 4]),
        call('third', 2, 5, 4, []),
        call('third', 3, 9, 4, [7]),
      ]),
    );
    const prompt = (id: string): string[] => tokensOf(content.get(id)!.prompt);
    expect(sharedHead(prompt('main/0'), prompt('helper/1'))).toBe(16);
    expect(sharedHead(prompt('third/2'), prompt('third/3'))).toBe(0);
  });

  test('warm tokens are the first call full blocks before its last, scaled', () => {
    const recorded = session([
      call('main', 0, 45, 4, [0, 1, 2, 3, 4]),
      call('main', 1, 60, 4, [0, 1, 2, 3, 4, 5, 6]),
    ]);
    expect(contentOf(recorded).get('main/0')!.warmTokens).toBe(32);
    expect(contentOf(recorded).get('main/1')!.warmTokens).toBe(0);
    expect(contentOf(recorded, { scaleTokens: 0.5 }).get('main/0')!.warmTokens).toBe(16);
  });

  test('content is the same on every reading, and differs between scopes', () => {
    const recorded = session([call('main', 0, 45, 4, [0, 1, 2, 3, 4])]);
    expect(contentOf(recorded)).toEqual(contentOf(recorded));
    const other = contentOf({ ...recorded, blockScope: 'test/other' });
    expect(
      sharedHead(tokensOf(contentOf(recorded).get('main/0')!.prompt), tokensOf(other.get('main/0')!.prompt)),
    ).toBe(0);
  });
});
