import { describe, expect, test } from 'vitest';
import { errorOfBody, promptRefusal, refusedField } from '../../../engines/wire/errors.ts';

describe('a refusal of the prompt itself', () => {
  const refused: [string, string, string][] = [
    ['OpenAI', 'context_length_exceeded', "This model's maximum context length is 128000 tokens."],
    [
      'vLLM 0.32',
      '400',
      "This model's maximum context length is 4096 tokens. However, you requested 10 output tokens",
    ],
    ['SGLang', '400', "The input (9000 tokens) is longer than the model's context length (4096 tokens)."],
    ['TGI', 'validation', '`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000'],
    ['Anthropic', 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'],
  ];
  test.each(refused)('%s: it is too long', (_, code, message) => {
    expect(promptRefusal({ code, message })).toBe('too_long');
  });

  test('content that is not allowed, as OpenAI and Azure say it; and a 400 that is about something else', () => {
    expect(promptRefusal({ code: 'content_policy_violation', message: '' })).toBe('content_policy');
    const azure = "The response was filtered due to Azure OpenAI's content management policy.";
    expect(promptRefusal({ code: 'content_filter', message: azure })).toBe('content_policy');
    expect(promptRefusal({ code: 'invalid_request', message: 'max_tokens must be positive' })).toBeNull();
  });
});

describe('a field that a server refuses to know', () => {
  const refused: [string, string, string, string][] = [
    ['OpenAI', 'unknown_parameter', "Unknown parameter: 'min_tokens'.", 'min_tokens'],
    [
      'OpenAI, nested',
      'x',
      "Unknown parameter: 'stream_options.continuous_usage_stats'.",
      'stream_options.continuous_usage_stats',
    ],
    ['OpenAI, older', '', 'Unrecognized request argument supplied: ignore_eos', 'ignore_eos'],
    [
      'OpenAI, reasoning models',
      'unsupported_parameter',
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      'max_tokens',
    ],
    ['Anthropic', 'invalid_request_error', 'ignore_eos: Extra inputs are not permitted', 'ignore_eos'],
    [
      'FastAPI',
      '',
      '[{"type":"extra_forbidden","loc":["body","min_tokens"],"msg":"Extra inputs are not permitted","input":5}]',
      'min_tokens',
    ],
    [
      'TensorRT-LLM',
      'BadRequestError',
      "[{'type': 'extra_forbidden', 'loc': ('body', 'return_token_ids'), 'msg': 'Extra inputs are not permitted', 'input': True}]",
      'return_token_ids',
    ],
    [
      'pydantic',
      '400',
      '1 validation error for CompletionRequest\nwindtunnel\n  Extra inputs are not permitted [type=extra_forbidden, input_value={}]',
      'windtunnel',
    ],
  ];
  test.each(refused)('%s names it', (_, code, message, field) => {
    expect(refusedField({ code, message })).toBe(field);
  });

  test('is found in the body of a 422 of FastAPI', () => {
    const detail = [
      { type: 'extra_forbidden', loc: ['body', 'priority'], msg: 'Extra inputs are not permitted' },
    ];
    expect(refusedField(errorOfBody(JSON.stringify({ detail })))).toBe('priority');
  });

  test('is not what other errors are about', () => {
    for (const message of [
      'max_tokens must be positive',
      'The model `x` does not exist.',
      'prompt is too long',
    ])
      expect(refusedField({ code: '400', message })).toBeNull();
  });
});
