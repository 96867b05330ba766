// A call of a written workflow. Its prompt is a list of hundreds of runs that hardly anybody reads: engines and indexes
// take it as it was put together. So it is made when it is asked for, not with the call.
import type { Key } from '../base/key.ts';
import {
  type PromptMakeup,
  type PromptPart,
  type Retention,
  type Run,
  wholePrompt,
} from '../formats/prompt.ts';
import type { StepRules } from '../formats/rules.ts';
import type { Call } from './progress.ts';

/** Rule: `prompt` is no field of its own, so what copies a call's fields must copy it too (`withOutput`). */
export class WrittenCall implements Call {
  readonly step: string;
  readonly role: string | null;
  readonly model: string;
  readonly priority: number | null;
  readonly iteration: number | null;
  readonly loop: string | null;
  readonly makeup: PromptMakeup;
  readonly parts: readonly PromptPart[];
  readonly retention: readonly Retention[] | undefined;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly output: readonly Run[];
  readonly warmTokens = 0;
  readonly rules: StepRules | undefined;
  readonly argsKey: Key;
  readonly agentDepth: number;

  constructor(of: Omit<WrittenCall, 'prompt' | 'warmTokens'>) {
    this.step = of.step;
    this.role = of.role;
    this.model = of.model;
    this.priority = of.priority;
    this.iteration = of.iteration;
    this.loop = of.loop;
    this.makeup = of.makeup;
    this.parts = of.parts;
    this.retention = of.retention;
    this.promptTokens = of.promptTokens;
    this.outputTokens = of.outputTokens;
    this.reasoningTokens = of.reasoningTokens;
    this.output = of.output;
    this.rules = of.rules;
    this.argsKey = of.argsKey;
    this.agentDepth = of.agentDepth;
  }

  get prompt(): readonly Run[] {
    return wholePrompt(this.makeup);
  }
}

/** The same call with another output. */
export const withOutput = (
  call: Call,
  output: Pick<Call, 'output' | 'outputTokens' | 'reasoningTokens'>,
): Call => ({ ...call, prompt: call.prompt, ...output });
