// What a base URL that does not work was probably meant to be. Pure.

/** Below a base URL; people paste the whole address of a request. */
const PATHS = /\/(chat\/completions|completions|responses|messages|models|metrics|health|tokenize)$/;

/** Base URLs to try, the likeliest first; the one that was given is among them. Null: no http address. */
export function basesOf(given: string): string[] | null {
  const url = URL.parse(/^[a-z]+:\/\//i.test(given) ? given : '');
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') return null;
  const trimmed = url.origin + url.pathname.replace(/\/+$/, '');
  const clean = trimmed.replace(PATHS, '').replace(/(\/v1)+$/, '/v1');
  const without = clean.replace(/\/v1$/, '');
  return [...new Set([clean, trimmed, `${without}/v1`, without, `${url.origin}/v1`])];
}

/** Where metrics and the tokenizer are: beside /v1, not below. */
export const rootOf = (baseUrl: string): string => baseUrl.replace(/\/v1$/, '');

/** Why the given URL is not the right one, in words. */
export function differenceOf(given: string, right: string): string {
  const path = URL.parse(given)?.pathname ?? '';
  if (/\/v1(\/v1)+/.test(path)) return '/v1 stands in it more than once';
  if (PATHS.test(path.replace(/\/+$/, ''))) return 'it is the address of a request, not the base of all';
  if (right.endsWith('/v1') && !/\/v1\/?$/.test(path)) return '/v1 is missing';
  return 'the API is elsewhere';
}
