// Deployment files for these tests, from values.
import { type DeploymentFile, parseDeployment } from '../../../scenarios/formats/deployment/deployment.ts';
import { valueSource } from '../../../scenarios/formats/source.ts';

export function fileOf(value: unknown): DeploymentFile {
  const { file, issues } = parseDeployment(valueSource(value, 'deployment.yaml'));
  if (file === null) throw new Error(JSON.stringify(issues));
  return file;
}
