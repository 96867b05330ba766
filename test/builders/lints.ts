// What lints say of a text, each finding with the words that it points at.
import { labContext } from '../../lab/lint/context.ts';
import { lint } from '../../lab/lint/index.ts';
import { parseScenario } from '../../scenarios/formats/scenario.ts';
import { formatIssues, parseSource } from '../../scenarios/formats/source.ts';
import { compile } from '../../scenarios/workflows/compile.ts';
import { deploymentOf } from './worlds.ts';

export interface Linted {
  code: string;
  message: string;
  hint: string | null;
  /** The words underlined in the text. */
  at: string;
}

/** The context that lints of a good text see. */
export function contextOf(text: string, deployment: string | null = null) {
  const source = parseSource(text, 'test.yaml');
  const { file, issues } = parseScenario(source);
  const compiled =
    file === null ? null : compile({ file, sha256: 'test', name: 'test', traces: new Map(), lines: null });
  if (file === null || compiled?.plan == null) {
    const all = [...issues, ...(compiled?.issues ?? [])];
    throw new Error(`the test's scenario is wrong:\n${formatIssues(all, source, { colour: false })}`);
  }
  const { plan, workflows } = compiled;
  const spec = deployment === null ? null : deploymentOf(deployment);
  return { source, context: labContext(file, { plan, workflows }, spec) };
}

export function linted(text: string, deployment: string | null = null): Linted[] {
  const { source, context } = contextOf(text, deployment);
  return lint(context).map(found => {
    const { lineText, column, endColumn } = source.locate(found);
    const { code, message, hint, severity } = found;
    if (severity !== 'warning') throw new Error(`${code} is no warning`);
    return { code, message, hint, at: lineText.slice(column - 1, endColumn - 1) };
  });
}

/** The codes of what is found. */
export const codesOf = (text: string, deployment: string | null = null): string[] =>
  linted(text, deployment).map(({ code }) => code);
