// A TCP proxy in front of a server that a test can make silent, or break.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** The first has a role only. */
const SOME_EVENTS = 5;

export interface FaultyProxy {
  /** Up to /v1. */
  readonly url: string;
  /** Connections on which a stream is under way: some events have gone back since its request. */
  readonly streaming: number;
  /** What happens from now on to connections that are open, and to new ones. */
  set(way: 'open' | 'silent' | 'refusing'): void;
  /** Resets every connection. */
  reset(): void;
  close(): Promise<void>;
}

export async function proxyTo(target: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(target);
  const pairs = new Set<readonly [Socket, Socket]>();
  /** Events since the last request on each. */
  const events = new Map<Socket, number>();
  let isSilent = false;
  let isRefusing = false;
  const server = createServer(inner => {
    if (isRefusing) {
      inner.resetAndDestroy();
      return;
    }
    const outer = connect(Number(port), hostname);
    const pair = [inner, outer] as const;
    pairs.add(pair);
    const over = (): void => {
      pairs.delete(pair);
      events.delete(inner);
      // A network that is cut tells nobody.
      if (isSilent) return;
      inner.destroy();
      outer.destroy();
    };
    for (const socket of pair) {
      socket.on('error', over);
      socket.on('close', over);
    }
    inner.on('data', bytes => {
      events.delete(inner);
      if (!isSilent) outer.write(bytes);
    });
    outer.on('data', bytes => {
      if (isSilent || inner.destroyed) return;
      inner.write(bytes);
      const seen = String(bytes).split('data: ').length - 1;
      if (seen > 0) events.set(inner, (events.get(inner) ?? 0) + seen);
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const reset = (): void => {
    for (const [inner, outer] of pairs) {
      inner.resetAndDestroy();
      outer.destroy();
    }
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    get streaming() {
      return [...events.values()].filter(seen => seen >= SOME_EVENTS).length;
    },
    set: way => {
      isSilent = way === 'silent';
      isRefusing = way === 'refusing';
    },
    reset,
    close: async () => {
      isSilent = false;
      reset();
      await new Promise(resolve => server.close(resolve));
    },
  };
}
