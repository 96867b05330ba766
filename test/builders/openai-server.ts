// A small server of the OpenAI API, with whatever a test wants it to lack. One word is `tokensPerWord` tokens.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SmallServerOptions {
  /** Of the API. */
  base?: string;
  /** Null: none is wanted. */
  key?: string | null;
  models?: readonly string[] | null;
  contextTokens?: number | null;
  /** Paths below the base that it knows. */
  paths?: readonly string[];
  streams?: boolean;
  /** All of the stream at once, after so long, ms; null: as it comes. */
  bufferedMs?: number | null;
  usage?: boolean;
  continuousUsage?: boolean;
  /** Null: as many tokens as asked for. */
  answerTokens?: number | null;
  tokensPerWord?: number;
  tokenize?: boolean;
  /** Fields that it answers with a 400, in OpenAI's words. */
  refuses?: readonly string[];
  date?: Date;
  closes?: boolean;
}

export interface SmallServer {
  /** Without a path. */
  url: string;
  /** `POST /v1/chat/completions`, in order. */
  asked: string[];
  /** Bodies of the calls, in order. */
  bodies: Record<string, unknown>[];
  close(): Promise<void>;
}

export async function smallServer(options: SmallServerOptions = {}): Promise<SmallServer> {
  const {
    base = '/v1',
    key = null,
    models = ['small'],
    contextTokens = 8192,
    paths = ['/chat/completions', '/completions'],
    streams = true,
    bufferedMs = null,
    usage = true,
    continuousUsage = false,
    answerTokens = null,
    tokensPerWord = 1,
    tokenize = false,
    refuses = [],
  } = options;
  const asked: string[] = [];
  const bodies: Record<string, unknown>[] = [];
  const send = (response: ServerResponse, status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  const countOf = (body: Record<string, unknown>): number => {
    const { prompt, messages, content } = body as {
      prompt?: unknown;
      messages?: { content: string }[];
      content?: string;
    };
    if (Array.isArray(prompt)) return prompt.length;
    const text =
      typeof prompt === 'string' ? prompt : (messages?.map(each => each.content).join(' ') ?? content ?? '');
    const template = messages === undefined ? 0 : 5;
    return Math.round(text.split(/\s+/).filter(Boolean).length * tokensPerWord) + template;
  };

  async function answer(
    path: string,
    body: Record<string, unknown>,
    response: ServerResponse,
  ): Promise<void> {
    const refused = Object.keys(body).find(field => refuses.includes(field));
    if (refused !== undefined) {
      send(response, 400, {
        error: { message: `Unknown parameter: '${refused}'.`, code: 'unknown_parameter' },
      });
      return;
    }
    if (models !== null && !models.includes(String(body.model))) {
      send(response, 404, {
        error: { message: `The model \`${body.model}\` does not exist.`, code: 'model_not_found' },
      });
      return;
    }
    if (!streams) {
      send(response, 200, { choices: [{ message: { content: 'hello' } }] });
      return;
    }
    const tokens = answerTokens ?? Number(body.max_tokens ?? body.max_completion_tokens);
    const counted = (n: number) => ({ usage: { prompt_tokens: countOf(body), completion_tokens: n } });
    const isChat = path === '/chat/completions';
    const chunk = (choice: object, more: object = {}) =>
      `data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, finish_reason: null, ...choice }], ...more })}\n\n`;
    const text = [
      isChat ? chunk({ delta: { role: 'assistant', content: '' } }) : '',
      ...Array.from({ length: tokens }, (_, i) =>
        chunk(
          {
            ...(isChat ? { delta: { content: 'a ' } } : { text: 'a ' }),
            finish_reason: i + 1 === tokens ? 'length' : null,
          },
          usage && continuousUsage ? counted(i + 1) : {},
        ),
      ),
      usage ? `data: ${JSON.stringify({ id: 'x', choices: [], ...counted(tokens) })}\n\n` : '',
      'data: [DONE]\n\n',
    ];
    if (bufferedMs !== null) await new Promise(resolve => setTimeout(resolve, bufferedMs));
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    if (bufferedMs !== null) response.end(text.join(''));
    else {
      for (const piece of text) response.write(piece);
      response.end();
    }
  }

  const server = createServer((request: IncomingMessage, response) => {
    const path = (request.url ?? '').split('?', 1)[0] as string;
    asked.push(`${request.method} ${path}`);
    if (options.date !== undefined) response.setHeader('date', options.date.toUTCString());
    if (options.closes === true) response.setHeader('connection', 'close');
    let text = '';
    request.on('data', piece => {
      text += piece;
    });
    request.on('end', () => {
      if (key !== null && request.headers.authorization !== `Bearer ${key}`) {
        const given = request.headers.authorization ?? 'none';
        send(response, 401, {
          error: { message: `Incorrect API key provided: ${given}.`, code: 'invalid_api_key' },
        });
        return;
      }
      const below = path.startsWith(base) ? path.slice(base.length) : null;
      if (request.method === 'GET' && below === '/models' && models !== null) {
        const data = models.map(id => ({
          id,
          object: 'model',
          ...(contextTokens === null ? {} : { max_model_len: contextTokens }),
        }));
        send(response, 200, { object: 'list', data });
      } else if (request.method === 'POST' && tokenize && path === '/tokenize') {
        send(response, 200, { count: countOf(JSON.parse(text)) });
      } else if (request.method === 'POST' && below !== null && paths.includes(below)) {
        const body = JSON.parse(text) as Record<string, unknown>;
        bodies.push(body);
        if (body.messages === undefined && body.prompt === undefined)
          send(response, 400, { error: { message: 'messages is missing' } });
        else void answer(below, body, response);
      } else send(response, 404, { detail: 'Not Found' });
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    bodies,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
