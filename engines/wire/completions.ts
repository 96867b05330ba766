// OpenAI completions, with the prompt as text or as token ids.
import { parseStreamData } from './chunk.ts';
import { bearer } from './credentials.ts';
import type { Dialect } from './dialect.ts';
import { forcedLength, streamOptions, type TextPrompt, takes } from './request.ts';

export const completions: Dialect<TextPrompt> = {
  path: '/completions',
  headers: {},
  keyHeader: bearer,
  body: request => {
    const { model, prompt, outputTokens, fields } = request;
    const isTokens = prompt.api === 'tokens';
    return JSON.stringify({
      model,
      stream: true,
      ...fields,
      prompt: isTokens ? prompt.tokenIds : prompt.text,
      ...streamOptions(request),
      max_tokens: outputTokens,
      ...forcedLength(request),
      ...(isTokens && takes(request, 'return_token_ids') ? { return_token_ids: true } : {}),
    });
  },
  reader: () => parseStreamData,
};
