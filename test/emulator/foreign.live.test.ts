// Clients that others wrote, unmodified, against the emulator: the OpenAI Python SDK and `vllm bench serve`.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasVllm, modelFolder } from '../builders/vllm.ts';
import { emulator, type LiveEmulator } from '../loadgen/live.ts';

/** Both come with vLLM. */
const VLLM = process.env.WINDTUNNEL_VLLM ?? '';
const FOREIGN_TEST_MS = 300_000;

function run(
  command: string,
  args: readonly string[],
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(command, args, {
    env: { ...process.env, HF_HUB_OFFLINE: '1', VLLM_NO_USAGE_STATS: '1', DO_NOT_TRACK: '1' },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', chunk => {
    out += String(chunk);
  });
  child.stderr.on('data', chunk => {
    err += String(chunk);
  });
  return new Promise(resolve => child.once('close', code => resolve({ code, out, err })));
}

const SDK = `
import json, sys
from openai import OpenAI, NotFoundError, BadRequestError
client = OpenAI(base_url=sys.argv[1], api_key='none', max_retries=0)
said = {}
said['models'] = [m.id for m in client.models.list()]
messages = [{'role': 'system', 'content': 'you are brief'}, {'role': 'user', 'content': 'one two three'}]
whole = client.chat.completions.create(model='main', messages=messages, max_tokens=6)
said['chat'] = [whole.choices[0].finish_reason, whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.choices[0].message.role]
text, usage, finish = '', None, None
for chunk in client.chat.completions.create(model='main', messages=messages, max_tokens=6, stream=True, stream_options={'include_usage': True}):
    if chunk.choices:
        text += chunk.choices[0].delta.content or ''
        finish = chunk.choices[0].finish_reason or finish
    if chunk.usage: usage = chunk.usage
said['stream'] = [len(text.split()), usage.prompt_tokens, usage.completion_tokens, finish]
plain = client.completions.create(model='main', prompt='one two three four', max_tokens=5)
said['completions'] = [len(plain.choices[0].text.split()), plain.usage.prompt_tokens]
ids = client.completions.create(model='main', prompt=[11, 12, 13], max_tokens=2)
said['tokens'] = ids.usage.prompt_tokens
answer = client.responses.create(model='main', input='one two three', max_output_tokens=4)
said['responses'] = [answer.status, answer.usage.input_tokens, answer.usage.output_tokens, len(answer.output_text.split())]
kinds, streamed = [], None
with client.responses.create(model='main', input='one two three', max_output_tokens=4, stream=True) as events:
    for event in events:
        kinds.append(event.type)
        # Stopped by its limit of tokens, as an answer of a wanted length always is.
        if event.type in ('response.completed', 'response.incomplete'): streamed = event.response.usage.output_tokens
said['events'] = [kinds[0], kinds.count('response.output_text.delta'), streamed]
try:
    client.chat.completions.create(model='nobody', messages=messages)
except NotFoundError as error:
    said['unknown'] = error.code
try:
    client.chat.completions.create(model='main', messages=messages, max_tokens=0)
except BadRequestError as error:
    said['bad'] = error.status_code
print(json.dumps(said))
`;

describe.skipIf(!hasVllm)('foreign clients (set WINDTUNNEL_VLLM to its executable)', () => {
  let server: LiveEmulator;
  let folder: string;
  beforeAll(async () => {
    server = await emulator();
    folder = modelFolder(mkdtempSync(join(tmpdir(), 'windtunnel-foreign-')));
  });
  afterAll(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });

  test(
    'the OpenAI Python SDK: models, chat, completions, responses, streams and errors',
    async () => {
      const { code, out, err } = await run(join(dirname(VLLM), 'python'), ['-c', SDK, server.url]);
      expect(err.slice(-2000) + code).toBe('0');
      expect(JSON.parse(out)).toEqual({
        models: expect.arrayContaining(['main', 'spare']),
        chat: ['length', 6, 6, 'assistant'],
        stream: [6, 6, 6, 'length'],
        completions: [5, 4],
        tokens: 3,
        responses: [expect.stringMatching(/completed|incomplete/), 3, 4, 4],
        events: ['response.created', 4, 4],
        unknown: 'model_not_found',
        bad: 400,
      });
    },
    FOREIGN_TEST_MS,
  );

  test(
    '`vllm bench serve` completes its calls and counts their tokens',
    async () => {
      const args = `bench serve --backend openai-chat --base-url ${new URL(server.url).origin} --endpoint /v1/chat/completions --model main --tokenizer ${folder} --dataset-name random --random-input-len 32 --random-output-len 20 --num-prompts 30 --max-concurrency 8 --save-result --result-dir ${folder} --result-filename said.json --disable-tqdm`;
      const { code, err } = await run(VLLM, args.split(' '));
      expect(code === 0 ? '' : err.slice(-2000)).toBe('');
      const said = JSON.parse(readFileSync(join(folder, 'said.json'), 'utf8')) as Record<string, number>;
      expect(said.completed).toBe(30);
      // 20 steps of 4 ms and more, one token each.
      expect(said.mean_tpot_ms).toBeGreaterThan(3.9);
      expect(said.mean_ttft_ms).toBeGreaterThan(3.9);
    },
    FOREIGN_TEST_MS,
  );
});
