// One request and its response, whatever carries it: our own HTTP/1.1, or a dispatcher of undici (proxies, HTTP/2).

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
}

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Told of a response in order; of `ended` or `failed` once, and of nothing after it. */
export interface ResponseHandler {
  /** A connection was there, and the request has been written to it. */
  written(): void;
  /** Of a final response: 1xx ones are not told of. Names in lower case. */
  headers(status: number, headers: ResponseHeaders): void;
  /** Hot. Bytes [from, to) of the body, read from the socket at `atMs`; the buffer is reused after the call. */
  data(bytes: Buffer, from: number, to: number, atMs: number): void;
  ended(atMs: number): void;
  failed(error: Error): void;
}

/** Gives an exchange up: its connection is closed, and its handler is told of nothing more. */
export type Abandon = () => void;

/** The connections to one origin. */
export interface Transport {
  /** Throws what is wrong with the request itself. */
  begin(request: HttpRequest, handler: ResponseHandler): Abandon;
  /** Connections opened so far; null where they are not ours to count. */
  readonly opened: number | null;
  close(): Promise<void>;
}
