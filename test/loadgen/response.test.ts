import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ResponseHeaders } from '../../loadgen/transport/exchange.ts';
import { ResponseParser } from '../../loadgen/transport/response.ts';

interface Seen {
  status: number;
  headers: ResponseHeaders;
  body: string;
  isDone: boolean;
  keepsOpen: boolean;
}

/** One buffer for all reads, as the transport has it. */
function read(pieces: readonly Buffer[]): Seen {
  const parser = new ResponseParser();
  const body: Buffer[] = [];
  const seen: Seen = { status: 0, headers: {}, body: '', isDone: false, keepsOpen: false };
  parser.begin({
    written() {},
    headers(status, headers) {
      Object.assign(seen, { status, headers });
    },
    data: (bytes, from, to) => void body.push(Buffer.from(bytes.subarray(from, to))),
    ended() {},
    failed() {},
  });
  const shared = Buffer.alloc(64 * 1024);
  for (const piece of pieces) {
    piece.copy(shared);
    parser.read(shared, piece.length, 0);
    shared.fill(0xff);
  }
  const { isDone, keepsOpen } = parser;
  return { ...seen, body: Buffer.concat(body).toString(), isDone, keepsOpen };
}

const readText = (text: string): Seen => read([Buffer.from(text)]);
const chunked = (...chunks: string[]): string =>
  chunks.map(chunk => `${Buffer.byteLength(chunk).toString(16)}\r\n${chunk}\r\n`).join('');

describe('a response', () => {
  test('in chunks: extensions and trailers are no body', () => {
    const seen = readText(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n5;note="x"\r\nhello\r\n1 \r\n!\r\n0\r\nx-sum: 7\r\n\r\n',
    );
    expect(seen).toMatchObject({ status: 200, body: 'hello!', isDone: true, keepsOpen: true });
    expect(seen.headers['x-a']).toEqual(['1', '2']);
  });

  test('of a known length; then the connection serves the next one, unless it says not', () => {
    expect(readText('HTTP/1.1 429 Slow\r\ncontent-length: 2\r\n\r\nno')).toMatchObject({
      status: 429,
      body: 'no',
      isDone: true,
      keepsOpen: true,
    });
    expect(readText('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n').keepsOpen).toBe(
      false,
    );
    expect(readText('HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n').keepsOpen).toBe(false);
  });

  test('without a length ends with its connection', () => {
    expect(readText('HTTP/1.1 200 OK\r\n\r\nall of it')).toMatchObject({ body: 'all of it', isDone: false });
  });

  test('comes after 1xx ones; 204 has no body', () => {
    expect(readText('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n')).toMatchObject({
      status: 204,
      isDone: true,
    });
  });

  test('that says more than was asked for leaves a connection that is not used again', () => {
    expect(readText('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK')).toMatchObject({
      isDone: true,
      keepsOpen: false,
    });
  });

  test.each([
    ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['no chunk size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n'],
    ['a chunk of another length', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n'],
    ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}`],
  ])('with %s is refused', (_, text) => {
    const pieces = text.match(/.{1,60000}/gs)!.map(each => Buffer.from(each));
    const more = text.includes('x: y') ? Array.from({ length: 5 }, () => pieces).flat() : pieces;
    expect(() => read(more)).toThrow();
  });
});

test('any cut of the bytes gives the same response', () => {
  const body = fc.array(fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }), { maxLength: 8 });
  fc.assert(
    fc.property(body, fc.array(fc.nat(600), { maxLength: 12 }), fc.boolean(), (chunks, cuts, isChunked) => {
      const text = chunks.join('');
      const whole = Buffer.from(
        isChunked
          ? `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunked(...chunks)}0\r\n\r\n`
          : `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
      );
      const places = [...new Set(cuts.map(cut => cut % whole.length))].sort((a, b) => a - b);
      const pieces = [0, ...places].map((from, i) => whole.subarray(from, places[i] ?? whole.length));
      expect(read(pieces)).toMatchObject({ body: text, isDone: true, keepsOpen: true });
    }),
    { numRuns: 300 },
  );
});
