// A TCP proxy in front of a server that a test can make slow, silent, dead or broken.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface FaultyProxy {
  /** Up to /v1. */
  readonly url: string;
  /** What happens from now on to connections that are open, and to new ones. */
  set(way: 'open' | 'silent' | 'refusing'): void;
  /** Resets every connection. */
  reset(): void;
  close(): Promise<void>;
}

/** `delayMs`: of each piece on its way back. */
export async function proxyTo(target: string, { delayMs = 0 } = {}): Promise<FaultyProxy> {
  const { hostname, port } = new URL(target);
  const pairs = new Set<readonly [Socket, Socket]>();
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
      if (!isSilent) outer.write(bytes);
    });
    outer.on('data', bytes => {
      setTimeout(() => {
        if (!isSilent && !inner.destroyed) inner.write(bytes);
      }, delayMs);
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
