// GitHub's workflow commands: an annotation for each promise that broke, beside the line that makes it.
// https://docs.github.com/actions/reference/workflow-commands-for-github-actions
import type { GateCheck } from '../../scenarios/formats/comparison.ts';
import { countText, type GateReport } from './report.ts';

/** GitHub shows ten of a kind a step; the last one tells how many more there are. */
const ANNOTATIONS_MAX = 10;

const escapeData = (text: string): string =>
  text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
const escapeProperty = (text: string): string => escapeData(text).replace(/:/g, '%3A').replace(/,/g, '%2C');

function annotation(level: 'error' | 'warning', { name, text, at }: GateCheck): string {
  const place = at === null ? {} : { file: at.file, line: String(at.line), col: String(at.column) };
  const properties = { ...place, title: `windtunnel: ${name}` };
  const named = Object.entries(properties).map(([key, value]) => `${key}=${escapeProperty(value)}`);
  return `::${level} ${named.join(',')}::${escapeData(text)}`;
}

function ofKind(level: 'error' | 'warning', checks: readonly GateCheck[]): string[] {
  if (checks.length <= ANNOTATIONS_MAX) return checks.map(check => annotation(level, check));
  const shown = checks.slice(0, ANNOTATIONS_MAX - 1);
  const left = checks.length - shown.length;
  return [
    ...shown.map(check => annotation(level, check)),
    `::${level} title=windtunnel::${left} more checks, in the step's summary`,
  ];
}

/** Lines for stdout; the summary goes where GITHUB_STEP_SUMMARY says. */
export function githubCommands(report: GateReport): string {
  const failed = report.checks.filter(({ status }) => status === 'fail');
  const open = report.checks.filter(({ status }) => status === 'inconclusive');
  const lines = [
    ...ofKind('error', failed),
    ...ofKind('warning', open),
    `::notice title=windtunnel ${escapeProperty(report.name)}::${escapeData(`${report.headline}; ${countText(report.checks)}`)}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** `name=value` lines for GITHUB_OUTPUT. */
export const githubOutputs = ({ status, headline }: GateReport): string =>
  `status=${status}\nheadline=${headline.replace(/[\r\n]+/g, ' ')}\n`;
