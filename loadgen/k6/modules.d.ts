// What exported scripts use of k6, as its engine has it: https://grafana.com/docs/k6/latest/javascript-api/
declare module 'k6/data' {
  export class SharedArray<T> {
    constructor(name: string, make: () => T[]);
    readonly length: number;
    readonly [row: number]: T;
    map<U>(change: (item: T, row: number) => U): U[];
  }
}

declare module 'k6/execution' {
  const execution: {
    readonly scenario: {
      readonly name: string;
      /** Unix ms. */
      readonly startTime: number;
      /** From 0, unique over all instances. */
      readonly iterationInTest: number;
    };
    readonly vu: { readonly metrics: { readonly metadata: Record<string, string> } };
  };
  export default execution;
}

declare module 'k6/metrics' {
  interface Metric {
    add(value: number | boolean, tags?: Readonly<Record<string, string>>): void;
  }
  type Constructor = new (name: string, isTime?: boolean) => Metric;
  export const Counter: Constructor;
  export const Rate: Constructor;
  export const Trend: Constructor;
}

declare module 'k6/http' {
  interface Response {
    readonly status: number;
    readonly body: string | null;
    readonly error: string;
    readonly error_code: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly timings: { readonly duration: number; readonly waiting: number };
  }
  interface Params {
    readonly headers: Readonly<Record<string, string>>;
    readonly tags: Readonly<Record<string, string>>;
    readonly timeout: string;
  }
  const http: {
    asyncRequest(method: string, url: string, body: string, params: Params): Promise<Response>;
  };
  export default http;
}

declare module 'k6/x/sse' {
  interface Client {
    on(event: 'event', told: (event: { readonly data: string }) => void): void;
    on(event: 'error', told: (error: { error(): string }) => void): void;
    close(): void;
  }
  interface Params {
    readonly method: string;
    readonly body: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly tags: Readonly<Record<string, string>>;
    readonly timeout: string;
  }
  const sse: {
    /** Returns when the stream has ended: it blocks its VU. */
    open(
      url: string,
      params: Params,
      set: (client: Client) => void,
    ): {
      readonly status: number;
      readonly error: string;
      readonly body?: string;
      readonly headers?: Record<string, string>;
    };
  };
  export default sse;
}
