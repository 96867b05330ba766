// The HTTP server of a page that changes: the page itself, and its new versions as events. Rule: whoever reads slowly gets
// fewer versions, never a queue of them.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { changing, served } from './served.ts';

/** Where to listen; port 0: any that is free. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface PageServer {
  readonly url: string;
  /** Readers that wait for new versions. */
  readonly readers: number;
  /** The next version. */
  show(page: string): void;
  /** Tells readers that this was the last version, and ends when they have it, or after two seconds. */
  end(): Promise<void>;
}

interface Reader {
  readonly response: ServerResponse;
  version: number;
  /** The system has not taken all of the last version yet. */
  isBusy: boolean;
}

const END_WAIT_MS = 2000;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|::1)$/;

/** Rejects as the system does where it cannot listen. `script`: what listens in the browser. `onReaders`: their number. */
export async function openPageServer(
  { host, port }: Listen,
  script: string,
  onReaders: (readers: number) => void = () => {},
): Promise<PageServer> {
  const readers = new Set<Reader>();
  /** Asked for the page before there was one. */
  let waiting: ServerResponse[] = [];
  let page = '';
  let event = '';
  let version = 0;

  const sendPage = (response: ServerResponse): void => {
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    response.end(served(page, version, script));
  };
  const push = (reader: Reader): void => {
    if (reader.isBusy || reader.version === version) return;
    reader.version = version;
    reader.isBusy = !reader.response.write(event);
  };
  const listen = (response: ServerResponse, known: number): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    const reader: Reader = { response, version: known, isBusy: false };
    readers.add(reader);
    onReaders(readers.size);
    response.on('drain', () => {
      reader.isBusy = false;
      push(reader);
    });
    response.on('close', () => {
      readers.delete(reader);
      onReaders(readers.size);
    });
    push(reader);
  };
  /** A page of another site that has got a name for this address is not answered. */
  const isForUs = ({ headers }: IncomingMessage): boolean =>
    !LOOPBACK.test(host) || LOOPBACK.test((headers.host ?? '').replace(/:\d+$/, ''));

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (!isForUs(request)) response.writeHead(403).end('not for this name\n');
    else if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405).end();
    else if (pathname === '/live') listen(response, Number(searchParams.get('version')));
    else if (pathname !== '/') response.writeHead(404).end('the page is at /\n');
    else if (version > 0) sendPage(response);
    else waiting.push(response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  server.on('error', () => {});
  const address = server.address() as AddressInfo;
  const name = host.includes(':') ? `[${host}]` : host;

  return {
    url: `http://${name}:${address.port}/`,
    get readers() {
      return readers.size + waiting.length;
    },
    show: next => {
      page = next;
      version++;
      event = `event: page\nid: ${version}\ndata: ${JSON.stringify(changing(page))}\n\n`;
      for (const response of waiting) sendPage(response);
      waiting = [];
      for (const reader of readers) push(reader);
    },
    end: async () => {
      const left = [...readers].map(
        ({ response }) =>
          new Promise<void>(resolve => {
            response.on('close', resolve);
            response.end('event: end\ndata: {}\n\n');
          }),
      );
      for (const response of waiting) response.destroy();
      const late = new Promise(resolve => setTimeout(resolve, END_WAIT_MS));
      await Promise.race([Promise.all(left), late]);
      server.close();
      server.closeAllConnections();
    },
  };
}
