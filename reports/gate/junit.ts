// JUnit XML, as GitLab, Jenkins and test viewers read it: a suite per gate, a case per check.
import type { GateCheck } from '../../scenarios/formats/comparison.ts';
import { countText, type GateReport } from './report.ts';

/** Also what XML cannot hold at all, such as a NUL of a trace. */
export const escapeXml = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[\p{Cc}\ufffe\uffff]/gu, character => ('\t\n\r'.includes(character) ? character : '\ufffd'))
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/\n/g, '&#10;');

const attributes = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeXml(String(value))}"`)
    .join('');

function testCase({ name, status, text, at }: GateCheck, classname: string): string {
  const place = at === null ? {} : { file: at.file, line: at.line };
  const open = `  <testcase${attributes({ name, classname, time: 0, ...place })}`;
  if (status === 'pass') return `${open}>\n   <system-out>${escapeXml(text)}</system-out>\n  </testcase>`;
  if (status === 'fail')
    return `${open}>\n   <failure${attributes({ message: text, type: 'gate' })}>${escapeXml(text)}</failure>\n  </testcase>`;
  return `${open}>\n   <skipped${attributes({ message: text })}/>\n  </testcase>`;
}

export function junit(report: GateReport): string {
  const { name, what, checks, toolVersion, seed, digest, command } = report;
  const count = (status: GateCheck['status']): number => checks.filter(each => each.status === status).length;
  const totals = {
    tests: checks.length,
    failures: count('fail'),
    errors: 0,
    skipped: count('inconclusive') + count('info'),
  };
  const properties = {
    what,
    command,
    version: toolVersion,
    seed: seed ?? '',
    digest: digest ?? '',
    result: countText(checks),
  };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: 'windtunnel', ...totals, time: 0 })}>`,
    ` <testsuite${attributes({ name, ...totals, time: 0 })}>`,
    '  <properties>',
    ...Object.entries(properties).map(([key, value]) => `   <property${attributes({ name: key, value })}/>`),
    '  </properties>',
    ...checks.map(check => testCase(check, `windtunnel.${name}`)),
    ' </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}
