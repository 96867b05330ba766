import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type SseEvent, SseParser } from '../../loadgen/sse.ts';

function parse(pieces: readonly Buffer[]): SseEvent[] {
  const events: SseEvent[] = [];
  const parser = new SseParser(event => events.push(event));
  for (const piece of pieces) parser.push(piece);
  parser.end();
  return events;
}

const parseText = (text: string): SseEvent[] => parse([Buffer.from(text)]);
const dataOf = (text: string): string[] => parseText(text).map(event => event.data);

describe('an event stream', () => {
  test('holds several events in one read', () => {
    expect(dataOf('data: a\n\ndata: b\n\ndata: [DONE]\n\n')).toEqual(['a', 'b', '[DONE]']);
  });

  test('joins data lines, drops one space, skips comments and other fields', () => {
    expect(parseText(': ping\nevent: error\nid: 3\ndata:a\ndata:  b\ndata\nretry: 5\n\n')).toEqual([
      { event: 'error', data: 'a\n b\n' },
    ]);
  });

  test.each(['\n', '\r\n', '\r'])('may end its lines with %j', end => {
    expect(dataOf(`data: a${end}data: b${end}${end}data: c${end}${end}`)).toEqual(['a\nb', 'c']);
  });

  test('gives no event without data, and forgets its type', () => {
    expect(parseText('event: error\n\ndata: a\n\n\n\n')).toEqual([{ event: 'message', data: 'a' }]);
  });

  test('gives the last event even when its blank line is missing', () => {
    expect(dataOf('data: a\n\ndata: [DONE]')).toEqual(['a', '[DONE]']);
  });

  test('may start with a byte order mark', () => {
    expect(dataOf('\ufeffdata: a\n\n')).toEqual(['a']);
  });

  test('keeps bytes that the caller overwrites after the read', () => {
    const events: SseEvent[] = [];
    const parser = new SseParser(event => events.push(event));
    const bytes = Buffer.from('data: abc');
    parser.push(bytes);
    bytes.fill(120);
    parser.push(Buffer.from('d\n\n'));
    expect(events).toEqual([{ event: 'message', data: 'abcd' }]);
  });
});

test('any cut of the bytes gives the same events', () => {
  const line = fc.oneof(
    fc.constantFrom(
      'data',
      'data:',
      'data: é€😀',
      'event: error',
      ':',
      ': ping',
      'id: 1',
      '',
      'data: [DONE]',
    ),
    fc.string({ unit: 'grapheme', maxLength: 12 }).map(text => `data: ${text.replace(/[\r\n]/g, '')}`),
  );
  const end = fc.constantFrom('\n', '\r\n', '\r', '\n\n', '\r\n\r\n');
  const stream = fc.array(fc.tuple(line, end), { maxLength: 20 }).map(lines => lines.flat().join(''));
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 12 }), (text, places) => {
      const bytes = Buffer.from(text);
      const cuts = [
        0,
        ...places.map(place => place % (bytes.length + 1)).sort((a, b) => a - b),
        bytes.length,
      ];
      const pieces = cuts.slice(1).map((to, i) => bytes.subarray(cuts[i]!, to));
      const single = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
      expect(parse(pieces)).toEqual(parse([bytes]));
      expect(parse(single)).toEqual(parse([bytes]));
    }),
    { seed: 7, numRuns: 300 },
  );
});
