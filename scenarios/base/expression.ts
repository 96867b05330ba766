// The expression language of scenario files: what follows `=`. Small and pure: arithmetic, comparison, a few functions,
// parameters, `iteration` and `tokens(step)`. Never JavaScript's eval.

export type Expression =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'name'; readonly name: string; readonly at: number }
  | { readonly kind: 'tokens'; readonly step: string; readonly at: number }
  | { readonly kind: 'call'; readonly fn: FunctionName; readonly args: readonly Expression[] }
  | { readonly kind: 'unary'; readonly op: '-' | 'not'; readonly of: Expression }
  | { readonly kind: 'binary'; readonly op: BinaryOp; readonly left: Expression; readonly right: Expression };

type BinaryOp = '+' | '-' | '*' | '/' | '<' | '<=' | '>' | '>=' | '==' | '!=' | 'and' | 'or';

const FUNCTIONS = {
  min: (...x: number[]) => Math.min(...x),
  max: (...x: number[]) => Math.max(...x),
  round: (x: number) => Math.round(x),
  floor: (x: number) => Math.floor(x),
  ceil: (x: number) => Math.ceil(x),
  if: (condition: number, yes: number, no: number) => (condition !== 0 ? yes : no),
} as const;
type FunctionName = keyof typeof FUNCTIONS;
const ARITY: Record<FunctionName, number | null> = {
  min: null,
  max: null,
  round: 1,
  floor: 1,
  ceil: 1,
  if: 3,
};
export const FUNCTION_NAMES = [...Object.keys(FUNCTIONS), 'tokens'];

const UNITS: Record<string, number> = {
  k: 1e3,
  M: 1e6,
  '%': 0.01,
  us: 0.001,
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 3.6e6,
  d: 8.64e7,
};
const PRECEDENCE: Record<string, number> = {
  or: 1,
  and: 2,
  '==': 3,
  '!=': 3,
  '<': 4,
  '<=': 4,
  '>': 4,
  '>=': 4,
  '+': 5,
  '-': 5,
  '*': 6,
  '/': 6,
};

/** Numbers, names and operators in one expression: more is a mistake, and would be taken apart by recursion. */
const MAX_PARTS = 1000;

export interface ExpressionError {
  message: string;
  hint: string | null;
  /** Offset in the text. */
  at: number;
}

interface Token {
  kind: 'number' | 'name' | 'op' | 'end';
  text: string;
  value: number;
  at: number;
}

class ParseFailure extends Error {
  readonly error: ExpressionError;
  constructor(at: number, message: string, hint: string | null = null) {
    super(message);
    this.error = { at, message, hint };
  }
}

const PATTERN =
  /\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(us|ms|[kMsmhd%])?(?![A-Za-z0-9_])|([A-Za-z_][A-Za-z0-9_-]*)|(<=|>=|==|!=|[-+*/(),<>]))/y;

function tokenise(text: string): Token[] {
  const tokens: Token[] = [];
  PATTERN.lastIndex = 0;
  while (PATTERN.lastIndex < text.trimEnd().length) {
    const start = PATTERN.lastIndex;
    const match = PATTERN.exec(text);
    if (!match) {
      const at = start + (/^\s*/.exec(text.slice(start))?.[0].length ?? 0);
      throw new ParseFailure(
        at,
        `unexpected "${text.slice(at, at + 8)}"`,
        'numbers may carry k, M, %, ms, s, m, h',
      );
    }
    const at = match.index + match[0].length - match[0].trimStart().length;
    if (tokens.length === MAX_PARTS)
      throw new ParseFailure(at, `more than ${MAX_PARTS} parts`, 'name parts of it under `params`');
    if (match[1] !== undefined) {
      tokens.push({
        kind: 'number',
        text: match[0].trim(),
        value: finite(Number(match[1]) * (UNITS[match[2] ?? ''] ?? 1)),
        at,
      });
    } else if (match[3] !== undefined) {
      const word = ['and', 'or', 'not'].includes(match[3]);
      tokens.push({ kind: word ? 'op' : 'name', text: match[3], value: 0, at });
    } else {
      tokens.push({ kind: 'op', text: match[4] as string, value: 0, at });
    }
  }
  tokens.push({ kind: 'end', text: 'the end', value: 0, at: text.length });
  return tokens;
}

/** Parses what stands behind the `=`. */
export function parseExpression(text: string): { expression: Expression } | { error: ExpressionError } {
  let tokens: Token[];
  let next = 0;
  const peek = (): Token => tokens[next] as Token;
  const take = (): Token => tokens[next++] as Token;
  const expect = (op: string): void => {
    const token = take();
    if (token.kind !== 'op' || token.text !== op)
      throw new ParseFailure(token.at, `expected "${op}", found ${token.text}`);
  };
  const list = (): Expression[] => {
    const args: Expression[] = [];
    if (!(peek().kind === 'op' && peek().text === ')')) {
      args.push(binary(0));
      while (peek().kind === 'op' && peek().text === ',') {
        take();
        args.push(binary(0));
      }
    }
    expect(')');
    return args;
  };
  const named = (token: Token): Expression => {
    if (!(peek().kind === 'op' && peek().text === '('))
      return { kind: 'name', name: token.text, at: token.at };
    take();
    if (token.text === 'tokens') {
      const step = take();
      if (step.kind !== 'name')
        throw new ParseFailure(
          step.at,
          'tokens() takes the name of a step',
          'e.g. tokens(fetch) or tokens(prev)',
        );
      expect(')');
      return { kind: 'tokens', step: step.text, at: step.at };
    }
    if (!Object.hasOwn(FUNCTIONS, token.text)) {
      throw new ParseFailure(
        token.at,
        `unknown function "${token.text}"`,
        `there are ${FUNCTION_NAMES.join(', ')}`,
      );
    }
    const fn = token.text as FunctionName;
    const args = list();
    const arity = ARITY[fn];
    if (arity === null ? args.length === 0 : args.length !== arity) {
      throw new ParseFailure(
        token.at,
        `${fn}() takes ${arity ?? 'at least 1'} argument${arity === 1 ? '' : 's'}, got ${args.length}`,
      );
    }
    return { kind: 'call', fn, args };
  };
  const primary = (): Expression => {
    const token = take();
    if (token.kind === 'number') return { kind: 'number', value: token.value };
    if (token.kind === 'name') return named(token);
    if (token.text === '(') {
      const inner = binary(0);
      expect(')');
      return inner;
    }
    if (token.text === '-' || token.text === 'not') return { kind: 'unary', op: token.text, of: primary() };
    throw new ParseFailure(token.at, `unexpected ${token.text}`);
  };
  function binary(floor: number): Expression {
    let left = primary();
    for (;;) {
      const token = peek();
      const power = token.kind === 'op' ? PRECEDENCE[token.text] : undefined;
      if (power === undefined || power <= floor) return left;
      take();
      left = { kind: 'binary', op: token.text as BinaryOp, left, right: binary(power) };
    }
  }
  try {
    tokens = tokenise(text);
    const expression = binary(0);
    if (peek().kind !== 'end') throw new ParseFailure(peek().at, `unexpected "${peek().text}"`);
    return { expression };
  } catch (failure) {
    if (failure instanceof ParseFailure) return { error: failure.error };
    throw failure;
  }
}

/** What an expression can see. `tokens('prev')` is the step before. */
export interface ExpressionScope {
  name(name: string): number;
  tokens(step: string): number;
}

const truth = (value: boolean): number => (value ? 1 : 0);

/** Nothing is beyond all numbers, so that no difference of two such is no number at all. */
const finite = (value: number): number => Math.min(Math.max(value, -Number.MAX_VALUE), Number.MAX_VALUE);

/** The value of an expression; conditions are 1 or 0. */
export function evaluate(expression: Expression, scope: ExpressionScope): number {
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'name':
      return scope.name(expression.name);
    case 'tokens':
      return scope.tokens(expression.step);
    case 'call':
      return (FUNCTIONS[expression.fn] as (...x: number[]) => number)(
        ...expression.args.map(arg => evaluate(arg, scope)),
      );
    case 'unary': {
      const value = evaluate(expression.of, scope);
      return expression.op === '-' ? -value : truth(value === 0);
    }
    case 'binary':
      return combine(expression.op, evaluate(expression.left, scope), evaluate(expression.right, scope));
  }
}

function combine(op: BinaryOp, a: number, b: number): number {
  switch (op) {
    case '+':
      return finite(a + b);
    case '-':
      return finite(a - b);
    case '*':
      return finite(a * b);
    case '/':
      return b === 0 ? 0 : finite(a / b);
    case '<':
      return truth(a < b);
    case '<=':
      return truth(a <= b);
    case '>':
      return truth(a > b);
    case '>=':
      return truth(a >= b);
    case '==':
      return truth(a === b);
    case '!=':
      return truth(a !== b);
    case 'and':
      return truth(a !== 0 && b !== 0);
    case 'or':
      return truth(a !== 0 || b !== 0);
  }
}

/** Visits every parameter name and every step that the expression mentions. */
export function mentions(
  expression: Expression,
  visit: (what: 'name' | 'tokens', name: string) => void,
): void {
  switch (expression.kind) {
    case 'name':
      visit('name', expression.name);
      break;
    case 'tokens':
      visit('tokens', expression.step);
      break;
    case 'call':
      for (const arg of expression.args) mentions(arg, visit);
      break;
    case 'unary':
      mentions(expression.of, visit);
      break;
    case 'binary':
      mentions(expression.left, visit);
      mentions(expression.right, visit);
      break;
    case 'number':
      break;
  }
}
