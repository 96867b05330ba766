// Real servers on loopback: TLS with certificates made here, a proxy that connects, and HTTP/2.
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer as createHttps, type ServerOptions } from 'node:https';
import { type AddressInfo, connect as connectTcp, type Server } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Reach } from '../../engines/engine.ts';
import { type Connection, connectionOf } from '../../loadgen/connect.ts';
import { type Certificates, makeCertificates } from '../builders/certificates.ts';

const PLAIN: Reach = { tls: null, proxy: null, http2: false };
const NO_FILES = { caFile: null, certFile: null, keyFile: null, insecure: false };
const read = (file: string) => readFileSync(file, 'utf8');

let certificates: Certificates;
beforeAll(() => {
  certificates = makeCertificates();
});
afterAll(() => certificates.remove());
const path = (name: string) => certificates.path(name);
const pem = (name: string) => certificates.pem(name);

const toClose: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  toClose.push(() => new Promise(done => server.close(done)));
  return (server.address() as AddressInfo).port;
}

/** Says who called, and in which protocol. */
async function tlsServer(more: ServerOptions = {}): Promise<string> {
  const options = { cert: pem('server'), key: pem('server-key'), ...more };
  const server = createHttps(options, (asked, answer) => {
    const { subject } = (asked.socket as TLSSocket).getPeerCertificate();
    answer.end(`${asked.httpVersion} ${subject?.CN ?? 'nobody'}`);
  });
  return `https://127.0.0.1:${await listen(server)}/v1`;
}

/** What an endpoint with these settings reads there. */
async function get(url: string, reach: Partial<Reach>, environment = {}): Promise<string> {
  const connection: Connection = connectionOf({ ...PLAIN, ...reach }, environment, read);
  toClose.push(() => connection.close());
  const own = new Agent({ allowH2: false, connect: connection.connectOptions });
  toClose.push(() => own.destroy());
  const { body } = await request(url, { dispatcher: connection.dispatcher ?? own });
  return body.text();
}

describe('TLS', () => {
  test('a server with a certificate of nobody is not trusted', async () => {
    await expect(get(await tlsServer(), {})).rejects.toThrow(/unable to (verify|get local issuer)/);
  });

  test('it is with its authority in `ca_file`, or with `insecure`', async () => {
    const url = await tlsServer();
    const ca = { ...NO_FILES, caFile: path('ca') };
    expect(await get(url, { tls: ca })).toBe('1.1 nobody');
    expect(await get(url, { tls: { ...NO_FILES, insecure: true } })).toBe('1.1 nobody');
  });

  test('a server that asks for it gets the certificate of `cert_file`', async () => {
    const url = await tlsServer({ requestCert: true, rejectUnauthorized: true, ca: pem('ca') });
    const ca = { ...NO_FILES, caFile: path('ca') };
    await expect(get(url, { tls: ca })).rejects.toThrow();
    const tls = { ...ca, certFile: path('client'), keyFile: path('client-key') };
    expect(await get(url, { tls })).toBe('1.1 a client');
  });

  test('a file that is not there is named', () => {
    expect(() => connectionOf({ ...PLAIN, tls: { ...NO_FILES, caFile: '/no/such.pem' } }, {}, read)).toThrow(
      /tls\.ca_file: \/no\/such\.pem cannot be read/,
    );
  });
});

/** A proxy that connects; `seen` gets what it was asked for, with who asked. */
async function proxy(seen: string[]): Promise<string> {
  const server = createHttp((_, answer) => answer.writeHead(405).end());
  server.on('connect', (asked, client, head) => {
    seen.push(`${asked.url} ${asked.headers['proxy-authorization'] ?? '-'}`);
    const [host, port] = (asked.url as string).split(':') as [string, string];
    const there = connectTcp(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      there.write(head);
      there.pipe(client).pipe(there);
    });
    there.on('error', () => client.destroy());
    client.on('error', () => there.destroy());
  });
  return `127.0.0.1:${await listen(server)}`;
}

describe('proxies', () => {
  test('carry TLS through a tunnel, with the endpoint trusted as it says', async () => {
    const seen: string[] = [];
    const url = await tlsServer();
    const tls = { ...NO_FILES, caFile: path('ca') };
    expect(await get(url, { tls, proxy: `http://${await proxy(seen)}` })).toBe('1.1 nobody');
    expect(seen).toEqual([`${new URL(url).host} -`]);
  });

  test('carry plain HTTP through a tunnel too', async () => {
    const seen: string[] = [];
    const server = createHttp((asked, answer) => answer.end(`plain ${asked.url}`));
    const port = await listen(server);
    expect(await get(`http://127.0.0.1:${port}/v1/models`, { proxy: `http://${await proxy(seen)}` })).toBe(
      'plain /v1/models',
    );
    expect(seen).toEqual([`127.0.0.1:${port} -`]);
  });

  test('are those of the environment, with their user, but for hosts in NO_PROXY', async () => {
    const seen: string[] = [];
    const url = await tlsServer();
    const tls = { ...NO_FILES, caFile: path('ca') };
    const HTTPS_PROXY = `http://me:secret@${await proxy(seen)}`;
    const environment = { HTTPS_PROXY, NO_PROXY: '' };
    expect(await get(url, { tls, proxy: 'env' }, environment)).toBe('1.1 nobody');
    expect(seen).toEqual([`${new URL(url).host} Basic ${btoa('me:secret')}`]);
    const direct = { HTTPS_PROXY, NO_PROXY: '10.0.0.1, 127.0.0.1' };
    expect(await get(url, { tls, proxy: 'env' }, direct)).toBe('1.1 nobody');
    expect(await get(url, { tls, proxy: 'env' }, {})).toBe('1.1 nobody');
    expect(seen).toHaveLength(1);
  });

  test('a proxy of the environment that is none is an error that does not show it', () => {
    const environment = { HTTPS_PROXY: 'me:secret@proxy' };
    expect(() => connectionOf({ ...PLAIN, proxy: 'env' }, environment, read)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret'), exitCode: 104 }),
    );
  });
});

test('HTTP/2 is spoken where it is asked for and offered', async () => {
  const options = { cert: pem('server'), key: pem('server-key'), allowHTTP1: true };
  const server = createSecureServer(options, (asked, answer) => answer.end(asked.httpVersion));
  const url = `https://127.0.0.1:${await listen(server)}/v1`;
  const tls = { ...NO_FILES, caFile: path('ca') };
  expect(await get(url, { tls, http2: true })).toBe('2.0');
  expect(await get(url, { tls })).toBe('1.1');
  expect(await get(await tlsServer(), { tls, http2: true })).toBe('1.1 nobody');
  const seen: string[] = [];
  expect(await get(url, { tls, http2: true, proxy: `http://${await proxy(seen)}` })).toBe('2.0');
  expect(seen).toHaveLength(1);
});
