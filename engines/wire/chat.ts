// OpenAI chat completions.
import { parseStreamData } from './chunk.ts';
import { bearer } from './credentials.ts';
import type { Dialect } from './dialect.ts';
import { forcedLength, type MessagePrompt, streamOptions, takes } from './request.ts';

export const chat: Dialect<MessagePrompt> = {
  path: '/chat/completions',
  headers: {},
  keyHeader: bearer,
  body: request => {
    const { model, prompt, outputTokens, fields } = request;
    const limit = takes(request, 'max_tokens') ? 'max_tokens' : 'max_completion_tokens';
    return JSON.stringify({
      model,
      stream: true,
      ...fields,
      messages: prompt.messages,
      ...streamOptions(request),
      [limit]: outputTokens,
      ...forcedLength(request),
    });
  },
  reader: () => parseStreamData,
};
