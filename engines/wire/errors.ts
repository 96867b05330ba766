// What a server says went wrong, in a body or inside a stream, and what of it is about the prompt or about our request.
import { isObject, parseJson, textOf } from './json.ts';

export interface StreamError {
  /** The server's code or type as text, '' when it gave none. */
  code: string;
  message: string;
}

/**
 * The error of a JSON body or payload: the `error` object of OpenAI and Anthropic, vLLM's older flat form, or FastAPI's
 * `detail`.
 */
export function errorOf(payload: unknown): StreamError | null {
  if (!isObject(payload)) return null;
  const { error } = payload;
  if (isObject(error)) {
    return { code: String(error.code ?? error.type ?? ''), message: textOf(error.message) };
  }
  if (typeof error === 'string') return { code: '', message: error };
  if (payload.object === 'error') {
    return { code: String(payload.code ?? payload.type ?? ''), message: textOf(payload.message) };
  }
  if (payload.detail !== undefined && payload.choices === undefined) {
    const { detail } = payload;
    return { code: '', message: typeof detail === 'string' ? detail : JSON.stringify(detail) };
  }
  return null;
}

/** The error in a failed response's body; the text itself, shortened, when it is not JSON. */
export function errorOfBody(body: string): StreamError {
  return errorOf(parseJson(body)) ?? { code: '', message: body.trim().slice(0, 500) };
}

/** What servers say of a prompt that does not fit: OpenAI's code, else the words of vLLM, SGLang, TGI and Anthropic. */
const TOO_LONG =
  /context_length_exceeded|(maximum|max) (context|model|sequence) length|context window|longer than the model|prompt is too long|must be <= \d+/i;
/** OpenAI `content_policy_violation`, Azure `content_filter` and ResponsibleAIPolicyViolation. */
const NOT_ALLOWED =
  /content_policy_violation|content_filter|ResponsibleAIPolicyViolation|content management policy/i;

/**
 * The reason behind a 400 that is about the prompt itself, so that other models may be asked: `too_long`,
 * `content_policy`; null: it is about something else.
 */
export function promptRefusal({ code, message }: StreamError): 'too_long' | 'content_policy' | null {
  const said = `${code} ${message}`;
  if (NOT_ALLOWED.test(said)) return 'content_policy';
  return TOO_LONG.test(said) ? 'too_long' : null;
}

/**
 * OpenAI "Unknown parameter: 'x'", "Unrecognized request argument supplied: x" and "Unsupported parameter: 'x'"; Anthropic
 * "x: Extra inputs are not permitted"; pydantic's `{"type": "extra_forbidden", "loc": ["body", "x"]}` and its text form.
 */
const REFUSED_FIELD = [
  /(?:unknown|unsupported|unrecognized)(?: request)? (?:parameter|argument|field)s?(?: supplied)?:? *['"`]?([a-z_]+(?:\.[a-z_]+)*)/i,
  /extra_forbidden[^{}]*?"loc":\[(?:"body",)?"([a-z_",]+)"\]/,
  /'loc': \('body', '([a-z_', ]+)'\)[^{}]*Extra inputs are not permitted/,
  /\b([a-z_]+(?:\.[a-z_]+)*):? *\n? *Extra inputs are not permitted/,
] as const;

/** The field of a request that a server refuses to know, as it names it; null: its 400 is about something else. */
export function refusedField({ code, message }: StreamError): string | null {
  const said = `${code} ${message}`;
  for (const pattern of REFUSED_FIELD) {
    const named = pattern.exec(said)?.[1];
    if (named !== undefined) return named.replaceAll(/["' ]+/g, '').replaceAll(',', '.');
  }
  return null;
}
