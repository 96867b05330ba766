// The way in: is anything there, at which path, does it take the key, which models does it have.
import { isObject, parseJson } from '../../engines/wire/json.ts';
import { serverOf } from '../../engines/wire/servers.ts';
import { closest } from '../../scenarios/formats/suggest.ts';
import type { ServerKind } from '../../scenarios/formats/wire.ts';
import { type Answer, type Ask, hasAnswered } from './ask.ts';
import { basesOf, differenceOf } from './bases.ts';

export interface ListedModel {
  id: string;
  contextTokens: number | null;
}

/** A way in, or why there is none. */
export type Reached =
  | {
      kind: 'found';
      baseUrl: string;
      /** Null: as given. */
      difference: string | null;
      /** Null: it lists none. */
      models: ListedModel[] | null;
      server: ServerKind | null;
      /** Of the first request and of one after it. */
      first: Answer;
      second: Answer | null;
    }
  | { kind: 'unreachable'; why: string }
  | { kind: 'refused'; baseUrl: string; status: number }
  | { kind: 'elsewhere'; status: number };

/** Tries the given URL and those that it may have been meant to be. */
export async function reach(
  ask: Ask,
  given: string,
  headers: Readonly<Record<string, string>>,
): Promise<Reached> {
  const bases = basesOf(given) ?? [given];
  let status = 0;
  let refused: { baseUrl: string; status: number } | null = null;
  for (const baseUrl of bases) {
    const answer = await ask(`${baseUrl}/models`, { headers });
    if (!hasAnswered(answer)) return { kind: 'unreachable', why: answer.failed };
    status = answer.status;
    if (status === 401 || status === 403) refused ??= { baseUrl, status };
    const payload = status === 200 ? parseJson(answer.body) : undefined;
    const models = modelsIn(payload);
    if (models === null) continue;
    const second = await ask(`${baseUrl}/models`, { headers });
    return {
      kind: 'found',
      baseUrl,
      difference: sameUrl(given, baseUrl) ? null : differenceOf(given, baseUrl),
      models,
      server: serverOf(payload),
      first: answer,
      second: hasAnswered(second) ? second : null,
    };
  }
  if (refused !== null) return { kind: 'refused', ...refused };
  // No list of models: an API is where it knows the path of chats, though not what is asked.
  for (const baseUrl of bases) {
    const answer = await ask(`${baseUrl}/chat/completions`, { method: 'POST', body: '{}', headers });
    if (!hasAnswered(answer)) continue;
    if (answer.status === 401 || answer.status === 403)
      return { kind: 'refused', baseUrl, status: answer.status };
    if (![400, 422].includes(answer.status)) continue;
    const difference = sameUrl(given, baseUrl) ? null : differenceOf(given, baseUrl);
    return { kind: 'found', baseUrl, difference, models: null, server: null, first: answer, second: null };
  }
  return { kind: 'elsewhere', status };
}

const sameUrl = (a: string, b: string): boolean => a.replace(/\/+$/, '') === b;

/** Null: not a list of models. */
export function modelsIn(payload: unknown): ListedModel[] | null {
  if (!isObject(payload) || !Array.isArray(payload.data)) return null;
  return payload.data.flatMap(each => {
    if (!isObject(each) || typeof each.id !== 'string') return [];
    const meta = isObject(each.meta) ? each.meta : {};
    // vLLM, SGLang and we; llama.cpp; some gateways.
    const said = [each.max_model_len, meta.n_ctx, meta.n_ctx_train, each.context_length].find(
      value => typeof value === 'number' && value > 0,
    );
    return [{ id: each.id, contextTokens: typeof said === 'number' ? said : null }];
  });
}

/** Names in a message, at most as many as fit. */
export function namesText(names: readonly string[]): string {
  const shown = names.slice(0, 8).map(name => `"${name}"`);
  const left = names.length - shown.length;
  return [...shown, ...(left > 0 ? [`${left} more`] : [])].join(', ');
}

/** `it has "a", "b"; did you mean "b"?` */
export function otherModels(model: string, models: readonly ListedModel[]): string {
  const names = models.map(({ id }) => id);
  // People leave out the owner: `llama` of `meta/llama`.
  const tail = names.find(name => name.split('/').at(-1)?.toLowerCase() === model.toLowerCase());
  const near = tail ?? closest(model, names);
  const has = names.length === 0 ? 'it has none' : `it has ${namesText(names)}`;
  return near === null ? has : `did you mean "${near}"? ${has}`;
}
