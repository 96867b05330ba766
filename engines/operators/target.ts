// The contract of a target: a deployment file in, the files of another system out.
import type { DeploymentFile } from '../../scenarios/formats/deployment/deployment.ts';
import type { OperatorFile } from './operator-file.ts';

export interface Target {
  readonly name: string;
  /** One line for help. */
  readonly doc: string;
  files(deployment: DeploymentFile): OperatorFile[];
}
