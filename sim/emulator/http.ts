// The emulator's HTTP plumbing: bodies in, JSON, errors and open streams out.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorJson } from './answer.ts';
import { badRequest, type EmulatedApi, type HttpError } from './request.ts';

const BODY_BYTES_MAX = 64 * 1024 * 1024;

export function openStream(response: ServerResponse): void {
  if (response.headersSent) return;
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
  });
  response.flushHeaders();
}

export function sendJson(response: ServerResponse, status: number, json: string): void {
  const body = Buffer.from(json);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** As an answer of its own or, once a stream is open, as an error inside of it. */
export function refuse(response: ServerResponse, error: HttpError, api: EmulatedApi = 'chat'): void {
  const { status, retryAfterMs = null } = error;
  const json = errorJson(api, error);
  if (response.destroyed) return;
  // In whole seconds [RFC 9110, 10.2.3], and exactly as OpenAI's clients read it.
  if (retryAfterMs !== null && !response.headersSent) {
    response.setHeader('retry-after', Math.ceil(retryAfterMs / 1000));
    response.setHeader('retry-after-ms', retryAfterMs);
  }
  if (response.headersSent) response.end(`${api === 'messages' ? 'event: error\n' : ''}data: ${json}\n\n`);
  else sendJson(response, status, json);
}

export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  then: (body: unknown) => void,
  api?: EmulatedApi,
): void {
  const pieces: Buffer[] = [];
  let bytes = 0;
  request.on('data', (piece: Buffer) => {
    bytes += piece.length;
    if (bytes <= BODY_BYTES_MAX) pieces.push(piece);
  });
  request.on('end', () => {
    if (bytes > BODY_BYTES_MAX) {
      const message = `a body of ${bytes} bytes, over the limit of ${BODY_BYTES_MAX}`;
      refuse(response, { status: 413, message, type: 'PayloadTooLargeError', code: 'too_large' }, api);
      return;
    }
    let body: unknown;
    try {
      body = JSON.parse(Buffer.concat(pieces).toString('utf8'));
    } catch (error) {
      refuse(response, badRequest(`the body is not JSON: ${(error as Error).message}`), api);
      return;
    }
    then(body);
  });
}
