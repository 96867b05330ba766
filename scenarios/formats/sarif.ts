// SARIF 2.1.0 [OASIS, Static Analysis Results Interchange Format]: findings of `check` for code scanning, such as GitHub's.
import { CODES, type Code, HELP } from '../base/errors.ts';
import type { Issue } from '../base/issue.ts';
import { extendText, keyText, textKey } from '../base/key.ts';
import type { Source } from './source.ts';

export interface SarifGroup {
  readonly issues: readonly Issue[];
  readonly source: Source;
}

interface Message {
  readonly text: string;
}

/** The part of a SARIF log that is written. Lines and columns count from 1; columns are UTF-16 code units. */
export interface SarifLog {
  readonly $schema: string;
  readonly version: '2.1.0';
  readonly runs: readonly [
    {
      readonly tool: { readonly driver: { name: string; version: string; rules: readonly SarifRule[] } };
      readonly columnKind: 'utf16CodeUnits';
      readonly results: readonly SarifResult[];
    },
  ];
}

interface SarifRule {
  readonly id: string;
  readonly shortDescription: Message;
  readonly help: Message;
  readonly defaultConfiguration: { readonly level: 'error' | 'warning' };
}

interface SarifResult {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly level: 'error' | 'warning';
  readonly message: Message;
  readonly locations: readonly [
    {
      readonly physicalLocation: {
        readonly artifactLocation: { readonly uri: string };
        readonly region: {
          readonly startLine: number;
          readonly startColumn: number;
          readonly endLine: number;
          readonly endColumn: number;
        };
      };
    },
  ];
  /** Stays when lines move: the code and the place in the document. */
  readonly partialFingerprints: { readonly 'windtunnel/v1': string };
}

/** A path from here as a relative URI reference. */
const uriOf = (path: string): string => path.replace(/\\/g, '/').split('/').map(encodeURIComponent).join('/');

const isCode = (code: string): code is Code => Object.hasOwn(CODES, code);

/** One log with the findings of all files, in the order given. */
export function sarifOf(groups: readonly SarifGroup[], version: string): SarifLog {
  const all = groups.flatMap(({ issues, source }) =>
    issues.map(found => ({ found, at: source.locate(found) })),
  );
  const codes = [...new Set(all.map(({ found }) => found.code))].sort();
  const levels = new Map(all.map(({ found }) => [found.code, found.severity]));
  const rules = codes.map(
    (id): SarifRule => ({
      id,
      shortDescription: { text: isCode(id) ? CODES[id] : id },
      help: { text: isCode(id) ? HELP[id] : id },
      defaultConfiguration: { level: levels.get(id) ?? 'warning' },
    }),
  );
  const results = all.map(({ found, at }): SarifResult => {
    const { line, column, endColumn } = at;
    const name = extendText(textKey(found.code), `${at.file} ${JSON.stringify(found.path)}`);
    return {
      ruleId: found.code,
      ruleIndex: codes.indexOf(found.code),
      level: found.severity,
      message: { text: found.hint === null ? found.message : `${found.message} (${found.hint})` },
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: uriOf(at.file) },
            region: { startLine: line, startColumn: column, endLine: line, endColumn },
          },
        },
      ],
      partialFingerprints: { 'windtunnel/v1': keyText(name) },
    };
  });
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'windtunnel', version, rules } },
        columnKind: 'utf16CodeUnits',
        results,
      },
    ],
  };
}
