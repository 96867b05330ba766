// Retries of tools that do harm when they run twice: blind ones run them again, others never happen once one has begun.

import type { InputPath } from '../base/issue.ts';
import { eachRawStep } from '../formats/steps.ts';
import { defineLint, type Finding } from './lint.ts';

export const harmfulRetries = defineLint('WT2007', function* ({ file, workflows }): Generator<Finding> {
  const harmful = new Set(
    Object.entries(file.tools ?? {})
      .filter(([, tool]) => tool.idempotent === false)
      .map(([name]) => name),
  );
  const finding = (name: string, retry: unknown, path: InputPath): Finding => ({
    path,
    atKey: true,
    message: isBlind(retry)
      ? `"${name}" is not idempotent, and a blind retry runs it a second time`
      : `"${name}" is not idempotent: once it has begun, it is never tried again`,
    hint: 'take the retry from it, or say idempotent: true where a second run does no harm',
  });
  for (const name of harmful) {
    if (retries(file.tools?.[name]?.retry))
      yield finding(name, file.tools?.[name]?.retry, ['tools', name, 'retry']);
  }
  for (const workflow of workflows.keys()) {
    const found: Finding[] = [];
    eachRawStep(file.workflows?.[workflow]?.steps, ['workflows', workflow, 'steps'], (step, at) => {
      const { tool, retry } = (typeof step === 'object' && step !== null ? step : {}) as {
        tool?: string;
        retry?: unknown;
      };
      if (tool !== undefined && harmful.has(tool) && retries(retry))
        found.push(finding(tool, retry, [...at, 'retry']));
    });
    yield* found;
  }
});

const retries = (retry: unknown): boolean =>
  typeof retry === 'string' ||
  (typeof retry === 'object' && retry !== null && (retry as { max?: number }).max !== 0);

const isBlind = (retry: unknown): boolean =>
  typeof retry === 'object' && retry !== null && (retry as { blind?: boolean }).blind === true;
