// The cluster behind a socket: an OpenAI-compatible server whose answers come when the simulated engines give them.
// Paths only; what happens to a request is in emulation.ts.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Emulation, type EmulationOptions } from './emulation.ts';
import { readBody, refuse, sendJson } from './http.ts';
import { badRequest, type EmulatedApi, readPrompt, readRequest } from './request.ts';
import { EMULATOR_VOCAB_TOKENS } from './tokenizer.ts';

export interface EmulatorOptions extends EmulationOptions {
  /** Loopback unless told. */
  host?: string;
  /** 0 takes a free one. */
  port?: number;
}

export interface Emulator {
  /** Without /v1. */
  url: string;
  port: number;
  close(): Promise<void>;
}

export function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const { host = '127.0.0.1', port = 0 } = options;
  const emulation = new Emulation(options);
  const server = createServer(router(emulation));
  // Above the 4 s after which our own client drops an unused socket, so that the server is never the first.
  server.keepAliveTimeout = 65_000;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      const address = server.address() as AddressInfo;
      const shown = host.includes(':') ? `[${host}]` : host;
      resolve({
        url: `http://${shown}:${address.port}`,
        port: address.port,
        close: () =>
          new Promise(done => {
            emulation.stop();
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}

function router(emulation: Emulation): (request: IncomingMessage, response: ServerResponse) => void {
  const tokenizeText = (text: string) => emulation.tokenizer.tokenize(text);

  function generate(api: EmulatedApi, request: IncomingMessage, response: ServerResponse): void {
    // Served from when its head arrived: reading and splitting a long prompt is not part of the engine's time.
    const arrivedNs = emulation.nowNs();
    const header = request.headers['x-session-id'];
    const session = typeof header === 'string' ? header : null;
    const then = (body: unknown): void => {
      const wanted = readRequest(api, body, tokenizeText);
      if ('status' in wanted) refuse(response, wanted, api);
      else emulation.generate(wanted, { arrivedNs, session, response });
    };
    readBody(request, response, then, api);
  }

  function tokenize(request: IncomingMessage, response: ServerResponse): void {
    readBody(request, response, body => {
      const isObject = typeof body === 'object' && body !== null;
      const prompt = isObject ? readPrompt(body as Record<string, unknown>, tokenizeText) : null;
      if (prompt === null) {
        refuse(response, badRequest('prompt or messages is missing or not text'));
        return;
      }
      const max_model_len = Math.max(0, ...emulation.cluster.counters().map(c => c.maxModelTokens));
      const tokens = prompt.runs.map(run => (run.key.lo >>> 0) % EMULATOR_VOCAB_TOKENS);
      sendJson(response, 200, JSON.stringify({ count: tokens.length, max_model_len, tokens }));
    });
  }

  function listModels(response: ServerResponse): void {
    const limits = new Map(emulation.cluster.counters().map(c => [c.pool, c.maxModelTokens]));
    const data = emulation.models.map(({ name, pool }) => ({
      id: name,
      object: 'model',
      created: emulation.createdUnixS,
      owned_by: 'windtunnel',
      max_model_len: limits.get(pool) ?? null,
    }));
    sendJson(response, 200, JSON.stringify({ object: 'list', data }));
  }

  return (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    switch (`${request.method} ${path}`) {
      case 'POST /v1/chat/completions':
        generate('chat', request, response);
        return;
      case 'POST /v1/completions':
        generate('completions', request, response);
        return;
      case 'POST /v1/responses':
        generate('responses', request, response);
        return;
      case 'POST /v1/messages':
        generate('messages', request, response);
        return;
      case 'POST /tokenize':
        tokenize(request, response);
        return;
      case 'GET /v1/models':
        listModels(response);
        return;
      case 'GET /metrics':
        response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8');
        response.end(emulation.metrics());
        return;
      case 'GET /health':
        response.end();
        return;
      default: {
        const message = `no ${request.method} ${path} here`;
        refuse(response, { status: 404, message, type: 'NotFoundError', code: 'not_found' });
      }
    }
  };
}
