// The YAML language server that editors run, in a process of its own, spoken to as an editor does: JSON-RPC over stdio.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const SERVER = createRequire(import.meta.url).resolve('yaml-language-server/bin/yaml-language-server');

export interface Diagnostic {
  message: string;
  range: { start: { line: number; character: number } };
}

export interface Place {
  line: number;
  character: number;
}

interface Message {
  id?: number;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { message: string };
}

/** What an editor asks of the server about one document. */
export interface Editor {
  /** Labels offered at a place. */
  completion(at: Place): Promise<string[]>;
  hover(at: Place): Promise<string>;
  diagnostics(): Promise<Diagnostic[]>;
}

const SETTINGS = {
  yaml: { schemaStore: { enable: false }, validate: true, completion: true, hover: true },
};

export function startLanguageServer() {
  const child = spawn(process.execPath, [SERVER, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map<number, { found(result: unknown): void; lost(error: Error): void }>();
  const published = new Map<string, (diagnostics: Diagnostic[]) => void>();
  let buffer = Buffer.alloc(0);
  let lastId = 0;

  const send = (message: object): void => {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  const notify = (method: string, params: object): void => send({ method, params });
  const request = <T>(method: string, params: object): Promise<T> =>
    new Promise((found, lost) => {
      const id = ++lastId;
      waiting.set(id, { found: found as (result: unknown) => void, lost });
      send({ id, method, params });
    });
  const receive = (message: Message): void => {
    const { id, method, params } = message;
    if (method === 'textDocument/publishDiagnostics') {
      const { uri, diagnostics } = params as { uri: string; diagnostics: Diagnostic[] };
      published.get(uri)?.(diagnostics);
    } else if (method === 'workspace/configuration') {
      const { items } = params as { items: { section: string }[] };
      const answer = (section: string): unknown => (SETTINGS as Record<string, unknown>)[section] ?? null;
      send({ id, result: items.map(({ section }) => answer(section)) });
    } else if (method !== undefined && id !== undefined) send({ id, result: null });
    else if (id !== undefined) {
      const asked = waiting.get(id);
      waiting.delete(id);
      if (message.error === undefined) asked?.found(message.result);
      else asked?.lost(new Error(message.error.message));
    }
  };
  child.stdout.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
      const head = buffer.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/Content-Length: (\d+)/i.exec(buffer.subarray(0, head).toString())?.[1]);
      if (buffer.length < head + 4 + length) return;
      receive(JSON.parse(buffer.subarray(head + 4, head + 4 + length).toString()) as Message);
      buffer = buffer.subarray(head + 4 + length);
    }
  });

  const ready = request('initialize', {
    processId: process.pid,
    rootUri: null,
    capabilities: {
      workspace: { configuration: true },
      textDocument: {
        completion: { completionItem: { snippetSupport: true, documentationFormat: ['markdown'] } },
        hover: { contentFormat: ['markdown'] },
        publishDiagnostics: {},
      },
    },
  }).then(() => {
    notify('initialized', {});
    notify('workspace/didChangeConfiguration', { settings: SETTINGS });
  });

  /** Opens a document as if it stood at `path`. */
  async function open(path: string, text: string): Promise<Editor> {
    await ready;
    const uri = pathToFileURL(path).href;
    const textDocument = { uri };
    const first = new Promise<Diagnostic[]>(found => published.set(uri, found));
    notify('textDocument/didOpen', { textDocument: { uri, languageId: 'yaml', version: 1, text } });
    return {
      diagnostics: () => first,
      async completion(position) {
        const answer = await request<{ items: { label: string }[] }>('textDocument/completion', {
          textDocument,
          position,
        });
        return answer.items.map(({ label }) => label);
      },
      async hover(position) {
        const answer = await request<{ contents: string | { value: string } } | null>('textDocument/hover', {
          textDocument,
          position,
        });
        const contents = answer?.contents ?? '';
        return typeof contents === 'string' ? contents : contents.value;
      },
    };
  }

  async function stop(): Promise<void> {
    const ended = new Promise(done => child.on('exit', done));
    await request('shutdown', {});
    notify('exit', {});
    await ended;
  }

  return { open, stop };
}
