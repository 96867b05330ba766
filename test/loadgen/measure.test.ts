import { describe, expect, test } from 'vitest';
import { parseStreamData } from '../../engines/wire/chunk.ts';
import { StreamMeter } from '../../loadgen/measure.ts';
import { Histogram } from '../../scenarios/base/histogram.ts';

const text = (content: string, completionTokens: number | null = null, finish: string | null = null) =>
  parseStreamData(
    JSON.stringify({
      choices: [{ index: 0, delta: { content }, finish_reason: finish }],
      ...(completionTokens === null ? {} : { usage: usage(completionTokens) }),
    }),
  )!;
const usage = (tokens: number) => ({ prompt_tokens: 9, completion_tokens: tokens, total_tokens: 9 + tokens });
const lastUsage = (tokens: number) => parseStreamData(JSON.stringify({ choices: [], usage: usage(tokens) }))!;

function gapsOf(meter: StreamMeter): { itl: Histogram; maxMs: number | null } {
  const itl = new Histogram();
  return { maxMs: meter.gaps({ itlMs: itl, chunkGapMs: new Histogram() }), itl };
}

describe('a stream meter', () => {
  test('takes the first token, not the role, for the first', () => {
    const meter = new StreamMeter();
    meter.take(text('', 0), 3);
    meter.take(text('a', 1), 100);
    meter.take(text('b', 2), 120);
    expect(meter.firstTokenMs).toBe(100);
    expect(meter.outputTokens).toBe(2);
  });

  test('spreads the gap of a chunk over its tokens, as continuous usage counts them', () => {
    const meter = new StreamMeter();
    meter.take(text('a', 1), 0);
    meter.take(text('b c d e', 5), 20);
    meter.take(text('f g h i', 9), 40);
    const { itl, maxMs } = gapsOf(meter);
    expect([itl.count, itl.sum, itl.max, maxMs]).toEqual([8, 40, 5, 20]);
  });

  test('learns tokens per chunk from the total when usage comes only at the end', () => {
    const meter = new StreamMeter();
    for (let chunk = 0; chunk < 25; chunk++) meter.take(text('w x y z'), chunk * 20);
    meter.take(text('', null, 'length'), 480);
    meter.take(lastUsage(100), 480);
    const { itl } = gapsOf(meter);
    expect(meter.outputTokens).toBe(100);
    expect([itl.count, itl.sum, itl.max]).toEqual([99, 480, 5]);
  });

  test('counts one token a chunk when there is no usage at all', () => {
    const meter = new StreamMeter();
    meter.take(text('a'), 0);
    meter.take(text('b'), 10);
    expect([meter.outputTokens, gapsOf(meter).itl.count]).toEqual([2, 1]);
  });

  test('counts tokens that have no text yet', () => {
    const meter = new StreamMeter();
    meter.take(text('', 1), 50);
    meter.take(text('é', 2), 60);
    expect([meter.firstTokenMs, meter.outputTokens]).toEqual([50, 2]);
  });

  test('takes chunks of one read as one, so that no gap looks like zero', () => {
    const meter = new StreamMeter();
    meter.take(text('a', 1), 0);
    meter.take(text('b', 2), 20);
    meter.take(text('c', 3), 20.01);
    const { itl } = gapsOf(meter);
    expect([itl.count, itl.min]).toEqual([2, 10]);
  });

  test('counts reasoning, and knows it apart', () => {
    const meter = new StreamMeter();
    const thought = { choices: [{ index: 0, delta: { reasoning_content: 'hm' }, finish_reason: null }] };
    meter.take(parseStreamData(JSON.stringify(thought))!, 5);
    meter.take(text('a'), 10);
    expect([meter.firstTokenMs, meter.reasoningTokens, meter.outputTokens]).toEqual([5, 1, 2]);
    expect([meter.reasoningText, meter.outputText]).toEqual(['hm', 'a']);
  });

  test('has no gap with one token', () => {
    const meter = new StreamMeter();
    meter.take(text('a', 1, 'length'), 5);
    expect(gapsOf(meter).maxMs).toBeNull();
  });
});
