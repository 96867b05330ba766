// Figures that a library preset cites, to lay beside a trace.
import { UserError } from '../base/errors.ts';
import { type Figure, figuresSchema } from '../formats/figures.ts';
import { checkSchema } from '../formats/source.ts';
import { findInput, presetNames, shown } from './library.ts';
import { resolveSource } from './resolve.ts';
import { InputIssues } from './terminal.ts';

/** The figures of a preset, or of any scenario file that cites some. */
export function presetFigures(input: string): { name: string; figures: Figure[] } {
  const path = findInput(input, 'scenarios');
  const source = resolveSource(path, 'scenarios');
  const cited = (source.value as { figures?: unknown } | null)?.figures;
  if (cited === undefined) {
    throw new UserError(`${shown(path)} cites no figures to compare with`, {
      hint: `presets: ${presetNames().join(', ')}`,
    });
  }
  const { value, issues } = checkSchema(figuresSchema, cited, ['figures']);
  if (value === null) throw new InputIssues([{ issues, source }]);
  return { name: input, figures: value };
}
