// Anthropic's Python SDK, unmodified, against the emulator: whole answers, streams with thinking, and errors.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { hasVllm } from '../builders/vllm.ts';
import { emulator } from '../loadgen/live.ts';

/** It comes with vLLM. */
const PYTHON = join(dirname(process.env.WINDTUNNEL_VLLM ?? ''), 'python');
const SDK = `
import json, sys
from anthropic import Anthropic, NotFoundError
client = Anthropic(base_url=sys.argv[1], api_key='none', max_retries=0)
said = {}
ask = dict(model='main', max_tokens=6, system='you are brief', messages=[{'role': 'user', 'content': 'one two three'}])
whole = client.messages.create(**ask)
said['whole'] = [whole.stop_reason, whole.usage.input_tokens, whole.usage.output_tokens, len(whole.content[0].text.split())]
with client.messages.stream(**ask, extra_body={'windtunnel': {'reasoning_tokens': 2}}) as stream:
    texts = list(stream.text_stream)
    final = stream.get_final_message()
said['stream'] = [len(''.join(texts).split()), [block.type for block in final.content], final.usage.output_tokens, final.usage.output_tokens_details.thinking_tokens]
try:
    client.messages.create(**{**ask, 'model': 'nobody'})
except NotFoundError as error:
    said['unknown'] = error.body['error']['type']
print(json.dumps(said))
`;

test.skipIf(!hasVllm)(
  "Anthropic's Python SDK (set WINDTUNNEL_VLLM to vLLM's executable)",
  async () => {
    const server = await emulator();
    const child = spawn(PYTHON, ['-c', SDK, new URL(server.url).origin]);
    let out = '';
    let err = '';
    child.stdout.on('data', chunk => {
      out += String(chunk);
    });
    child.stderr.on('data', chunk => {
      err += String(chunk);
    });
    const code = await new Promise(resolve => child.once('close', resolve));
    await server.close();
    expect(err.slice(-2000) + code).toBe('0');
    expect(JSON.parse(out)).toEqual({
      whole: ['max_tokens', 6, 6, 6],
      stream: [4, ['thinking', 'text'], 6, 2],
      unknown: 'NotFoundError',
    });
  },
  120_000,
);
