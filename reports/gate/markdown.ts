// Markdown for a pull request's comment or a step's summary: the answer, the checks that matter, the rest folded away.
import type { GateCheck } from '../../scenarios/formats/comparison.ts';
import { changeText, countText, driftText, type GateReport, MARKS, shownValue } from './report.ts';

/** A comment holds 65,536 characters, and a summary is read. */
const TEXT_MAX = 60_000;

/** Text of a scenario or trace is shown, never obeyed: no markup, no mentions, no table cell that ends early. */
export const escapeMarkdown = (text: string): string =>
  text
    .replace(/[\r\n]+/g, ' ')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/[\\`*_{}[\]|~#!]/g, '\\$&')
    .replace(/@(?=\w)/g, '@\u200b')
    // A link that nobody wrote.
    .replace(/:\/\//g, ':\u200b//')
    .replace(/\bwww\./gi, 'www\u200b.');

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function table(checks: readonly GateCheck[]): string[] {
  if (checks.length === 0) return [];
  return [
    row(['', 'check', 'baseline', 'now', 'change [95 %]']),
    row(['---', '---', '---:', '---:', '---:']),
    ...checks.map(check =>
      row([
        MARKS[check.status],
        escapeMarkdown(check.name),
        shownValue(check.baseline, check.unit),
        shownValue(check.value, check.unit),
        changeText(check),
      ]),
    ),
  ];
}

const HEADS = { pass: '✓ passed', fail: '✗ failed', inconclusive: '? inconclusive' } as const;

/** The marker lets a workflow find and replace its own comment. */
export function markdown(report: GateReport): string {
  const { name, what, status, headline, checks, drift, warnings, command, toolVersion, digest } = report;
  const telling = checks.filter(check => check.status === 'fail' || check.status === 'inconclusive');
  const others = checks.filter(check => !telling.includes(check));
  const marker = name.replace(/[^\w.-]/g, '-').replace(/-{2,}/g, '-');
  const lines = [
    `<!-- windtunnel:${marker} -->`,
    `### windtunnel: ${HEADS[status]}`,
    '',
    `**${escapeMarkdown(headline)}**`,
    '',
    `${escapeMarkdown(what)}; ${countText(checks)}.`,
    '',
    ...table(telling),
    ...(others.length === 0
      ? []
      : ['', `<details><summary>${others.length} others</summary>`, '', ...table(others), '', '</details>']),
    ...(drift.length === 0
      ? []
      : [
          '',
          '<details><summary>Drift over the last baselines</summary>',
          '',
          ...drift.map(each => `- ${escapeMarkdown(driftText(each))}`),
          '',
          '</details>',
        ]),
    ...(warnings.length === 0 ? [] : ['', ...warnings.map(text => `> ${escapeMarkdown(text)}`)]),
    '',
    `<sub>agent-windtunnel ${toolVersion}, digest ${digest?.slice(0, 16) ?? '–'}; ${escapeMarkdown(command)}</sub>`,
    '',
  ];
  return within(lines, TEXT_MAX);
}

/** Whole lines up to `most` characters. */
function within(lines: readonly string[], most: number): string {
  const text = lines.join('\n');
  if (text.length <= most) return text;
  const note = '\n\n(cut here: the report has the rest)\n';
  let length = note.length;
  const kept = lines.filter(line => {
    length += line.length + 1;
    return length <= most;
  });
  const open = kept.filter(line => line.startsWith('<details>')).length;
  const closed = kept.filter(line => line === '</details>').length;
  return `${kept.join('\n')}${'\n\n</details>'.repeat(Math.max(0, open - closed))}${note}`;
}
