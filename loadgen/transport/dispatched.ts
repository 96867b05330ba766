// Exchanges by a dispatcher of undici: for proxies and HTTP/2, at twice the CPU of our own HTTP/1.1.
import type { Dispatcher } from 'undici';
import type { Clock } from '../clock.ts';
import type { Abandon, HttpRequest, ResponseHandler, Transport } from './exchange.ts';

/** Closing the dispatcher is its owner's. */
export function dispatchedTransport(dispatcher: Dispatcher, origin: URL, clock: Clock): Transport {
  function begin({ method, path, headers, body }: HttpRequest, handler: ResponseHandler): Abandon {
    let isAbandoned = false;
    let controller: Dispatcher.DispatchController | null = null;
    const events: Dispatcher.DispatchHandler = {
      onRequestStart(given) {
        controller = given;
        if (isAbandoned) given.abort(new Error('given up before it was sent'));
        else handler.written();
      },
      onResponseStart(_, status, given) {
        if (status >= 200 && !isAbandoned) handler.headers(status, given);
      },
      onResponseData(_, bytes) {
        if (!isAbandoned) handler.data(bytes, 0, bytes.length, clock.nowMs());
      },
      onResponseEnd() {
        const atMs = clock.nowMs();
        // undici frees a connection one turn after this: who begins another exchange before that opens one more.
        if (!isAbandoned) setImmediate(() => setImmediate(() => handler.ended(atMs)));
      },
      onResponseError(_, error) {
        if (!isAbandoned) handler.failed(error);
      },
    };
    dispatcher.dispatch({ origin: origin.origin, path, method, headers: { ...headers }, body }, events);
    return () => {
      isAbandoned = true;
      controller?.abort(new Error('given up'));
    };
  }
  return { begin, opened: null, close: async () => {} };
}
