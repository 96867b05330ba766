// SARIF logs have what the published schema of SARIF 2.1.0 requires, and point at the right words.
import { Ajv } from 'ajv';
import { expect, test } from 'vitest';
import { CODES, HELP } from '../../scenarios/base/errors.ts';
import { issue } from '../../scenarios/base/issue.ts';
import { sarifOf } from '../../scenarios/formats/sarif.ts';
import { parseSource } from '../../scenarios/formats/source.ts';

/**
 * The parts of sarif-schema-2.1.0.json that a log of ours has: required properties, types, minima, patterns and closed
 * objects, as published (OASIS, sarif-spec, Schemata).
 */
const message = {
  type: 'object',
  required: ['text'],
  properties: { text: { type: 'string' } },
  additionalProperties: false,
};
const level = { enum: ['none', 'note', 'warning', 'error'] };
const PUBLISHED = {
  type: 'object',
  required: ['version', 'runs'],
  additionalProperties: false,
  properties: {
    $schema: { type: 'string', format: 'uri' },
    version: { enum: ['2.1.0'] },
    runs: {
      type: 'array',
      minItems: 0,
      items: {
        type: 'object',
        required: ['tool'],
        additionalProperties: false,
        properties: {
          columnKind: { enum: ['utf16CodeUnits', 'unicodeCodePoints'] },
          tool: {
            type: 'object',
            required: ['driver'],
            additionalProperties: false,
            properties: {
              driver: {
                type: 'object',
                required: ['name'],
                additionalProperties: false,
                properties: {
                  name: { type: 'string' },
                  version: { type: 'string' },
                  rules: {
                    type: 'array',
                    uniqueItems: true,
                    items: {
                      type: 'object',
                      required: ['id'],
                      additionalProperties: false,
                      properties: {
                        id: { type: 'string' },
                        shortDescription: message,
                        help: message,
                        defaultConfiguration: {
                          type: 'object',
                          properties: { level },
                          additionalProperties: false,
                        },
                      },
                    },
                  },
                },
              },
            },
          },
          results: {
            type: 'array',
            items: {
              type: 'object',
              required: ['message'],
              additionalProperties: false,
              properties: {
                ruleId: { type: 'string' },
                ruleIndex: { type: 'integer', minimum: -1 },
                level,
                message,
                partialFingerprints: { type: 'object', additionalProperties: { type: 'string' } },
                locations: {
                  type: 'array',
                  items: {
                    type: 'object',
                    additionalProperties: false,
                    properties: {
                      physicalLocation: {
                        type: 'object',
                        additionalProperties: false,
                        anyOf: [{ required: ['address'] }, { required: ['artifactLocation'] }],
                        properties: {
                          artifactLocation: {
                            type: 'object',
                            additionalProperties: false,
                            properties: { uri: { type: 'string' } },
                          },
                          region: {
                            type: 'object',
                            additionalProperties: false,
                            properties: Object.fromEntries(
                              ['startLine', 'startColumn', 'endLine', 'endColumn'].map(key => [
                                key,
                                { type: 'integer', minimum: 1 },
                              ]),
                            ),
                          },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
};
const isPublished = new Ajv({ strict: false, validateFormats: false }).compile(PUBLISHED);

const TEXT = 'windtunnel: 1\nworkflows:\n  chat:\n    prefix: [a, b]\n';
const source = parseSource(TEXT, 'teams/support desk/chat.yaml');
const first = issue(['workflows', 'chat', 'prefix', 0], 'WT2001', 'in front of "b"', 'swap them', {
  severity: 'warning',
});
const second = issue(['workflows', 'chat'], 'WT1004', 'missing key "steps"');
const log = sarifOf([{ issues: [first, second, first], source }], '1.2.3');
const [run] = log.runs;

test('has what the published schema requires, and nothing that it does not know', () => {
  isPublished(log);
  expect(isPublished.errors).toBe(null);
  isPublished(sarifOf([], '1.2.3'));
  expect(isPublished.errors).toBe(null);
  expect(isPublished({ ...log, version: '2.0.0' })).toBe(false);
});

test('each result names its rule, and each rule says what to do', () => {
  expect(run.tool.driver.rules.map(({ id }) => id)).toEqual(['WT1004', 'WT2001']);
  for (const { ruleId, ruleIndex } of run.results) expect(run.tool.driver.rules[ruleIndex]?.id).toBe(ruleId);
  expect(run.tool.driver.rules[1]).toMatchObject({
    shortDescription: { text: CODES.WT2001 },
    help: { text: HELP.WT2001 },
    defaultConfiguration: { level: 'warning' },
  });
  expect(run.results.map(({ level: each }) => each)).toEqual(['warning', 'error', 'warning']);
  expect(run.results[0]?.message.text).toBe('in front of "b" (swap them)');
});

test('regions are the words, in lines and columns from 1, the end exclusive; files are relative URIs', () => {
  const { artifactLocation, region } = run.results[0]!.locations[0].physicalLocation;
  expect(artifactLocation.uri).toBe('teams/support%20desk/chat.yaml');
  expect(region).toEqual({ startLine: 4, startColumn: 14, endLine: 4, endColumn: 15 });
  expect(TEXT.split('\n')[region.startLine - 1]!.slice(region.startColumn - 1, region.endColumn - 1)).toBe(
    'a',
  );
});

test('fingerprints stay when lines move, and differ between places', () => {
  const of = (each: typeof run.results) => each.map(result => result.partialFingerprints['windtunnel/v1']);
  const moved = parseSource(`# a comment more\n${TEXT}`, source.file);
  expect(of(sarifOf([{ issues: [first, second], source: moved }], '2').runs[0].results)).toEqual(
    of(run.results).slice(0, 2),
  );
  expect(new Set(of(run.results)).size).toBe(2);
});
