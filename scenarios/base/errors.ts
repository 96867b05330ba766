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
  WT1401: 'a rule sends data where its sensitivity forbids it',
  WT1402: 'a target that stands in for itself',
  WT1403: 'pauses or timeouts that contradict one another',
  WT1404: 'a place that nothing leads to',
  WT1405: 'a retry budget above its attempts',
  WT2001: 'a segment that changes often stands in front of one that does not',
  WT2002: 'a prefix changes in front of a history',
  WT2003: 'a step, case or workflow that never runs',
  WT2004: 'a name that nothing uses',
  WT2005: 'a loop or fan-out without a bound',
  WT2006: 'weights that do not sum to 100 %',
  WT2007: 'a retry of what does harm when it runs twice',
  WT2010: 'a budget that no session can keep',
  WT2011: 'a timeout below the usual time of what it bounds',
  WT2012: 'a prompt beyond the window of its model',
  WT2013: 'more work than the deployment can do',
  WT2014: 'an assertion or SLO with nothing to judge',
  WT2015: 'a target that tools and people alone exceed',
  WT2016: 'money is asked for, and a price is not known',
  WT2017: 'a label that the gateway does not know: its calls are denied',
  WT2018: 'something that is used and not allowed',
  WT2019: 'a model that a rule names and nothing serves',
  WT2020: 'targets that stand in for one another in a circle',
  WT2021: 'data that may not go where its step or its fallback leads',
} as const;

export type Code = keyof typeof CODES;

/** What to do about each: the help that goes with a finding into other tools. */
export const HELP: Readonly<Record<Code, string>> = {
  WT1001: 'Name a file that exists and may be read.',
  WT1002: 'Mend the YAML at the place shown: often an indentation, a colon without a space, or a quote.',
  WT1003: 'Keys are checked, so that nothing is ignored in silence. Mend the spelling, or take the key out.',
  WT1004: 'Add the key; the message says what is missing.',
  WT1005: 'Write a value of the kind that the message names.',
  WT1006: 'Write the number with its unit, such as 350ms, 160k, 80% or 0.05/s.',
  WT1007:
    'An expression starts with = and has numbers, parameters, + - * /, comparisons and a few functions.',
  WT1008: 'The part is understood and checked, but no run obeys it yet: take it out to run the file.',
  WT1101: 'Each step of a list has one verb, such as llm, tool, map or repeat.',
  WT1102: 'Define the name in its section, or mend the spelling.',
  WT1103: 'reads, tokens() and filters need one of each name: rename one.',
  WT1104: 'Break the circle: a loop is written with repeat and a bound.',
  WT1105: 'A step reads only what may have run before it on its way.',
  WT1106: 'Give every case a weight; or every case but the last a condition.',
  WT1107: 'An assertion is a function, a comparison and a target: p95(e2e, workflow=ingest) < 8s.',
  WT1108: 'Raise the window, choose another model, clamp the amounts with max, or compact the thread.',
  WT1109: 'The message names the limit; split the work so that it stays below.',
  WT1201: '`windtunnel catalog` lists every GPU and model.',
  WT1202: 'Give the figure in the deployment, as the message says.',
  WT1203: 'Use more or larger GPUs, smaller weights, or a shorter window.',
  WT1204: 'Name a pool after the model alias, or let a pool serve its model.',
  WT1301: 'Name the format with --format, or see docs/traces.md for what is read.',
  WT1302: 'Write the plan again with `windtunnel plan`.',
  WT1401: 'Name a target that `destinations` allows for the label, or allow this one there.',
  WT1402: 'Name another target.',
  WT1403: 'A total holds every attempt and pause: raise it, or shorten what it holds.',
  WT1404: 'Add a link, or mend the name of a place.',
  WT1405: 'Raise `max` or the budget so that both let a retry happen, or take the retry out.',
  WT2001: 'A prefix cache matches from the left. Put segments that many calls share in front.',
  WT2002: 'Keep the prefix of a thread as it is; put what is new into `adds`, or use a thread of its own.',
  WT2003: 'Take it out, or mend the weight, the condition or the count that keeps it from running.',
  WT2004: 'Use the name, or take it out.',
  WT2005: 'Add `max`: to the distribution, or to the loop.',
  WT2006: 'Weights are parts of their sum. Let them sum to 100 %, so that the text says what happens.',
  WT2007: 'Do not retry the tool, or make it idempotent.',
  WT2010: 'Raise the budget, or shorten what it pays for.',
  WT2011: 'Raise the timeout above the usual time, or most attempts end in it.',
  WT2012: 'Choose a model with a longer window, clamp the amounts with max, or compact the thread.',
  WT2013:
    'Add replicas, lower the rate, or use a faster deployment: else queues grow as long as arrivals last.',
  WT2014: 'An assertion with nothing to judge neither passes nor fails: mend its filter or its metric.',
  WT2015: 'Raise the target, or make the tools faster or fewer: no engine can meet it.',
  WT2016: 'Give `price` under `models`, or in the deployment.',
  WT2017: 'Add the label to `destinations` of the gateway: what is not there is denied.',
  WT2018: 'Add it to `allow`, or do not use it: the run denies it.',
  WT2019: 'Add a pool or a provider for it, or name a model that the deployment serves.',
  WT2020: 'Let one of them end the chain: when all fail, nothing is left to try.',
  WT2021: 'Name a target that `destinations` and the residency of the tenant allow, or allow this one there.',
};

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
