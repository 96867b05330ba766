// What operators paste: every target by its name. A new one is a file beside this and a line here.
import type { DeploymentFile } from '../../scenarios/formats/deployment/deployment.ts';
import { dynamo } from './dynamo.ts';
import { kubernetes } from './kubernetes.ts';
import { llmD } from './llm-d.ts';
import type { OperatorFile } from './operator-file.ts';
import type { Target } from './target.ts';
import { vllm } from './vllm.ts';

export const targets: readonly Target[] = [vllm, kubernetes, dynamo, llmD];

/** The files of a deployment for each target named; a UserError where it has no pool that vLLM serves. */
export const operatorFiles = (
  deployment: DeploymentFile,
  names: readonly string[] = targets.map(({ name }) => name),
): OperatorFile[] =>
  targets.filter(({ name }) => names.includes(name)).flatMap(target => target.files(deployment));
