// How a key is sent.

/** OpenAI's way, and of all who speak its API. */
export const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

/** Anthropic's way. */
export const apiKey = (key: string): Record<string, string> => ({ 'x-api-key': key });
