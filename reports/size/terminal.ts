// The answer on the terminal: first what to do, then what it rests on.
import type { SizeResult } from '../../scenarios/formats/size.ts';
import { plural, showSignedRatio } from '../numbers.ts';
import { labelled, tableLines } from './lines.ts';
import {
  checkText,
  confidence,
  effortText,
  headline,
  impossibleLines,
  per1000,
  perHour,
  perMonth,
  promiseText,
  runnerUpText,
  stepEvidence,
  sustainedColumns,
  sustainedRows,
} from './words.ts';

export function sizeSummary(size: SizeResult, { reportPath }: { reportPath: string }): string {
  const { answer, checks, headroom, flips, alternatives, files, notes } = size;
  const lines: string[] = [`${answer === null ? '✗' : '✓'} ${headline(size)}`, ''];
  const add = (label: string, texts: readonly (string | null)[]): void => {
    lines.push(...labelled(label, texts));
  };
  if (answer !== null) {
    add('cost', [
      `${perHour(answer.usdPerHour)} for ${plural(answer.gpus, 'GPU')}, ${perMonth(answer.usdPerHour)}; ${per1000(answer)}`,
    ]);
    add('promises', answer.promises.map(promiseText));
    add('how sure', [confidence(size), ...stepEvidence(size)]);
    add('runner-up', [runnerUpText(size)]);
    if (headroom !== null)
      add('headroom', [headroom.title, ...headroom.lines.filter(line => line.startsWith('Why'))]);
    add('stands', checks.map(checkText));
    add(
      'flips if',
      flips.map(
        ({ assumption, now, at, changeRatio, becomes }) =>
          `${assumption}: ${now} → ${at}${changeRatio === null ? '' : ` (${showSignedRatio(changeRatio)})`}: ${becomes}`,
      ),
    );
    add(
      'instead',
      alternatives.map(
        ({ name, usdPerHour, isJudged, verdict, why }) =>
          `${name}: ${perHour(usdPerHour)}${isJudged ? `, promises ${verdict}` : ', priced only'}${why === '' ? '' : `; ${why}`}`,
      ),
    );
    const table = sustainedRows(size);
    if (table.length > 0) lines.push('', ...tableLines(sustainedColumns(size), table));
  } else add('', impossibleLines(size));
  lines.push('');
  add('searched', [effortText(size)]);
  add('note', notes);
  add(
    'files',
    files.map(({ path, what }) => `${path}: ${what}`),
  );
  add('page', [reportPath]);
  return `${lines.join('\n')}\n`;
}
