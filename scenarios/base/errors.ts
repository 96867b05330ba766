// Exit codes and error codes, stable and listed here; k6's meanings where k6 has one.

export const EXIT = {
  ok: 0,
  internal: 1,
  /** Our own client lagged, or, with --strict, the outcome is inconclusive. */
  notValid: 3,
  /** An SLO, an assertion, a tolerance or a gate failed. */
  failed: 99,
  badInput: 104,
  /** Ctrl-C: partial results kept and reported. */
  interrupted: 105,
  plugin: 107,
} as const;

/** Codes of issues in input files, one line each. */
export const CODES = {
  WT1001: 'the file cannot be read',
  WT1002: 'not valid YAML or JSON',
  WT1003: 'unknown key',
  WT1004: 'missing key',
  WT1005: 'wrong type or value',
  WT1006: 'wrong unit or malformed quantity',
  WT1007: 'malformed expression',
  WT1008: 'part of the language, not built yet',
  WT1101: 'a step needs exactly one verb',
  WT1102: 'unknown name',
  WT1103: 'two steps share a name',
  WT1104: 'a workflow calls itself',
  WT1105: 'reads a step that cannot have run',
  WT1106: 'branch cases must all have a weight, or all but the last a condition',
  WT1107: 'malformed assertion',
  WT1108: 'a prompt exceeds the context window of its model',
  WT1109: 'a limit of Windtunnel is passed',
  WT1201: 'the catalogue has no such entry',
  WT1202: 'the catalogue has no figure that this model needs',
  WT1203: 'the model does not fit on the GPU',
  WT1204: 'no pool serves this model',
  WT1301: 'unreadable trace',
  WT1302: 'unreadable plan',
} as const;

export type Code = keyof typeof CODES;

/** An error meant for the user: printed without a stack, ends with `exitCode`. */
export class UserError extends Error {
  readonly hint: string | null;
  readonly exitCode: number;
  constructor(message: string, options: { hint?: string | null; exitCode?: number } = {}) {
    super(message);
    this.name = 'UserError';
    this.hint = options.hint ?? null;
    this.exitCode = options.exitCode ?? EXIT.badInput;
  }
}

/** A broken invariant: our own failure, never the user's. */
export class InvariantError extends Error {
  constructor(message: string) {
    super(`broken invariant: ${message}`);
    this.name = 'InvariantError';
  }
}

/** Stops the run when `condition` does not hold. */
export function invariant(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new InvariantError(message());
}

/** Ends a switch over a closed union. */
export function unreachable(value: never): never {
  throw new InvariantError(`unexpected ${JSON.stringify(value)}`);
}
