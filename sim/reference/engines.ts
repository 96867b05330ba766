// The engines by kind. A further one is a file that makes an `Engine`, and a line here.
import type { EngineKind } from '../../engines/engine.ts';
import type { Engine, Queues } from './engine.ts';
import { sglang } from './sglang.ts';
import { tensorrtLlm } from './tensorrt-llm.ts';
import { vllm } from './vllm.ts';

export const engines: Record<EngineKind, (queues: Queues) => Engine> = {
  vllm,
  sglang,
  'tensorrt-llm': tensorrtLlm,
};
