// In the first second of a run: what the first call to an endpoint, and its list of models, say is wrong. The doctor's
// cheap checks.
import type { Endpoint } from '../../engines/engine.ts';
import { parseJson } from '../../engines/wire/json.ts';
import { EXIT } from '../../scenarios/base/errors.ts';
import type { CallResult } from '../client.ts';
import { basesOf, differenceOf } from './bases.ts';
import type { LongestCall } from './longest.ts';
import { modelsIn, otherModels } from './reach.ts';

export interface ProbeOptions {
  endpoint: Pick<Endpoint, 'url' | 'model'>;
  /** Its first call, of one word. */
  answer: Pick<CallResult, 'outcome' | 'httpStatus' | 'usageFromServer' | 'message'>;
  /** Of the plan, to this endpoint; null: not known. */
  longest: LongestCall | null;
  /** The body of a GET with the endpoint's key; null when it is not a 200. */
  get: (baseUrl: string, path: string) => Promise<string | null>;
}

export interface ProbeProblem {
  readonly message: string;
  readonly hint: string;
  readonly exitCode: number;
}

const problem = (message: string, hint: string): ProbeProblem => ({ message, hint, exitCode: EXIT.badInput });

/** Null: nothing that this knows of. */
export async function probe({ endpoint, answer, longest, get }: ProbeOptions): Promise<ProbeProblem | null> {
  const { url, model } = endpoint;
  const modelsAt = async (baseUrl: string) => modelsIn(parseJson((await get(baseUrl, '/models')) ?? ''));
  const isOk = answer.outcome === 'ok';
  if (!isOk && answer.httpStatus === null) return null;
  // vLLM says it inside of a 200.
  if (!isOk && /out of vocabulary/i.test(answer.message ?? ''))
    return problem(
      `${url} does not know a token id of the first call: ${answer.message}`,
      "give the size of the model's vocabulary with --vocab (`windtunnel doctor` finds it)",
    );
  const models = await modelsAt(url);
  const listed = models?.find(({ id }) => id === model);

  if (!isOk && models !== null && models.length > 0 && listed === undefined)
    return problem(
      `${url} has no model "${model}": ${otherModels(model, models)}`,
      'mend `model:` of the endpoint',
    );
  if (!isOk && models === null && (answer.httpStatus === 404 || answer.httpStatus === 405)) {
    for (const baseUrl of basesOf(url) ?? []) {
      if (baseUrl === url || (await modelsAt(baseUrl)) === null) continue;
      return problem(
        `${url} is not the base URL: ${differenceOf(url, baseUrl)}`,
        `write \`url: ${baseUrl}\``,
      );
    }
  }
  if (!isOk) return null;

  const contextTokens = listed?.contextTokens ?? null;
  if (contextTokens !== null && longest !== null) {
    const { step, promptTokens, outputTokens } = longest;
    if (promptTokens + outputTokens > contextTokens)
      return problem(
        `"${model}" at ${url} takes ${contextTokens} tokens at most, and "${step}" sends ${promptTokens} and wants ${outputTokens} more`,
        'start the server with a longer context (vLLM: --max-model-len, SGLang: --context-length, llama.cpp: -c), clamp the amounts with max, or, of a trace, --max-context or --scale-tokens',
      );
  }
  if (!answer.usageFromServer)
    return problem(
      `${url} streams without usage: nothing says how many tokens went in and came out`,
      'use a release that knows stream_options.include_usage, and leave `stream_options` in `takes` of the endpoint',
    );
  return null;
}
