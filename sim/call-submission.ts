// A call of a workflow as a cluster takes it. Its prompt as one list is made when it is asked for, as the call's own is.
import type { PromptMakeup, Retention, Run } from '../scenarios/formats/prompt.ts';
import type { Call } from '../scenarios/workflows/progress.ts';
import type { CallFacts } from '../scenarios/workflows/world.ts';
import type { Submission } from './cluster.ts';

/** Rule: what copies its fields must copy `prompt` too, which is none of them. */
export class CallSubmission implements Submission {
  readonly id: number;
  readonly pool: string;
  readonly session: string;
  readonly priority: number;
  readonly makeup: PromptMakeup | undefined;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly output: readonly Run[];
  readonly warmTokens: number;
  readonly call: CallFacts;
  readonly retention: readonly Retention[] | undefined;
  prefers: string | null | undefined = undefined;
  avoids: readonly string[] | null | undefined = undefined;
  private readonly of: Call;

  constructor(id: number, pool: string, session: string, priority: number, of: Call, call: CallFacts) {
    this.id = id;
    this.pool = pool;
    this.session = session;
    this.priority = priority;
    this.makeup = of.makeup;
    this.promptTokens = of.promptTokens;
    this.outputTokens = of.outputTokens;
    this.output = of.output;
    this.warmTokens = of.warmTokens;
    this.call = call;
    this.retention = of.retention;
    this.of = of;
  }

  get prompt(): readonly Run[] {
    return this.of.prompt;
  }
}
