// Single requests to a server that nothing is known of: with the headers, the pieces and the times that our client for
// load has no use for. Rule: an answer or a reason, never an exception.
import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { connect } from 'node:tls';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  /** Of the body, as they were read: ms since the request. */
  pieces: { atMs: number; text: string }[];
  /** From the request to the end of the body, ms. */
  tookMs: number;
  /** Our clock when its headers came, ms since 1970. */
  receivedUnixMs: number;
  /** It came over a connection that an earlier one had left open. */
  reused: boolean;
}

/** Why there was no answer, in words for a user. */
export interface NoAnswer {
  failed: string;
}

export interface Question {
  method?: 'GET' | 'POST';
  /** JSON. */
  body?: string;
  headers?: Readonly<Record<string, string>>;
  /** Ends the request, as a client that leaves, once the body so far is enough. */
  isEnough?: (body: string) => boolean;
}

export type Ask = (url: string, question?: Question) => Promise<Answer | NoAnswer>;

export interface Asker {
  ask: Ask;
  close(): void;
}

/** Longest body that is read, in characters. */
const BODY_MAX = 32_000_000;

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'no host has that name',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  ECONNRESET: 'the connection was closed without an answer',
  EHOSTUNREACH: 'no way leads to that host',
  ENETUNREACH: 'no way leads to that network',
  ETIMEDOUT: 'no answer in time',
  EPROTO: 'it speaks no TLS; is it http, not https?',
  HPE_INVALID_CONSTANT: 'what answers there speaks no HTTP; is it https, not http?',
};

function wordsOf(error: NodeJS.ErrnoException): string {
  const { code = '', message } = error;
  if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/.test(code))
    return `its certificate is not trusted (${code})`;
  if (/wrong version number|packet length too long/.test(message)) return WORDS.EPROTO as string;
  return WORDS[code] ?? (message === '' ? code : message);
}

/** `limitMs`: from a request to the end of its answer. */
export function createAsker(limitMs: number): Asker {
  const agents = {
    'http:': new HttpAgent({ keepAlive: true }),
    'https:': new HttpsAgent({ keepAlive: true }),
  };
  const ask: Ask = (address, { method = 'GET', body, headers = {}, isEnough } = {}) =>
    new Promise(resolve => {
      const startMs = performance.now();
      const url = new URL(address);
      const isTls = url.protocol === 'https:';
      let answer: Answer | null = null;
      const settle = (result: Answer | NoAnswer): void => {
        clearTimeout(timer);
        if (answer !== null) answer.tookMs = performance.now() - startMs;
        resolve(result);
      };
      const sent = (isTls ? httpsRequest : httpRequest)(url, {
        method,
        agent: isTls ? agents['https:'] : agents['http:'],
        headers: {
          accept: '*/*',
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
          ...headers,
        },
      });
      const timer = setTimeout(() => {
        settle({ failed: `no answer within ${Math.round(limitMs / 1000)} s` });
        sent.destroy();
      }, limitMs);
      sent.on('error', error => settle(answer ?? { failed: wordsOf(error) }));
      sent.on('response', response => {
        const started: Answer = {
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: '',
          pieces: [],
          tookMs: 0,
          receivedUnixMs: Date.now(),
          reused: sent.reusedSocket,
        };
        answer = started;
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          started.body += text;
          started.pieces.push({ atMs: performance.now() - startMs, text });
          const isTooLong = started.body.length > BODY_MAX;
          if (isTooLong || isEnough?.(started.body) === true) {
            settle(started);
            sent.destroy();
          }
        });
        response.on('end', () => settle(started));
        response.on('error', () => settle(started));
      });
      sent.end(body);
    });
  const close = (): void => {
    for (const agent of Object.values(agents)) agent.destroy();
  };
  return { ask, close };
}

export const hasAnswered = (answer: Answer | NoAnswer): answer is Answer => 'status' in answer;

/** Whether a TLS server offers HTTP/2; null: no TLS, or it does not say. */
export function offersHttp2(address: string, limitMs: number): Promise<boolean | null> {
  const url = new URL(address);
  if (url.protocol !== 'https:') return Promise.resolve(null);
  return new Promise(resolve => {
    const socket = connect({
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: Number(url.port || 443),
      servername: url.hostname,
      ALPNProtocols: ['h2', 'http/1.1'],
      // Whom to trust was decided by the requests before: this only reads what is offered.
      rejectUnauthorized: false,
      timeout: limitMs,
    });
    const settle = (offers: boolean | null): void => {
      socket.destroy();
      resolve(offers);
    };
    socket.once('secureConnect', () => settle(socket.alpnProtocol === 'h2'));
    socket.once('error', () => settle(null));
    socket.once('timeout', () => settle(null));
  });
}
