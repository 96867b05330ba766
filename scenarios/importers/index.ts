// The trace formats: those that can be imported, one line each, and those known by name whose importer is not built.
import { UserError } from '../base/errors.ts';
import { aiperf } from './aiperf/aiperf.ts';
import { azure } from './azure.ts';
import { bailian } from './bailian.ts';
import { burstgpt } from './burstgpt.ts';
import type { Importer } from './importer.ts';
import { llmservingsim } from './llmservingsim.ts';
import { lmcache } from './lmcache.ts';
import { mooncake } from './mooncake.ts';
import { otel } from './otel/otel.ts';
import { type CohortImporter, servegen } from './servegen/servegen.ts';
import { tracelab } from './tracelab.ts';
import { vidur } from './vidur.ts';
import { weka } from './weka/weka.ts';

/** In the order in which they are asked whether a file is theirs. */
export const importers: readonly Importer[] = [
  weka,
  otel,
  tracelab,
  bailian,
  lmcache,
  mooncake,
  llmservingsim,
  azure,
  burstgpt,
  vidur,
  aiperf,
];

/** Formats that give cohorts for a scenario, not sessions. */
export const cohortImporters: readonly CohortImporter[] = [servegen];

/** Formats of agent and request traces without an importer so far. */
export const UNBUILT_FORMATS: readonly string[] = [
  'blis',
  'guidellm',
  'langfuse',
  'langsmith',
  'sagemaker',
  'vllm-bench',
];

/** The importer of that name; a UserError where there is none. */
export function importerNamed(format: string): Importer {
  const importer = importers.find(candidate => candidate.name === format);
  if (importer !== undefined) return importer;
  if (cohortImporters.some(candidate => candidate.name === format)) {
    throw new UserError(`${format} gives cohorts to draw requests from, not recorded sessions`, {
      hint: 'name its folder or files without --format',
    });
  }
  const hint = `built so far: ${importers.map(candidate => candidate.name).join(', ')}`;
  if (UNBUILT_FORMATS.includes(format)) {
    throw new UserError(`format ${format} is known but its importer is not built yet`, { hint });
  }
  throw new UserError(`there is no trace format ${JSON.stringify(format)}`, { hint });
}

/** The first importer that recognises the text. */
export const detectImporter = (text: string, file: string): Importer | null =>
  importers.find(importer => importer.detect(text, file)) ?? null;
