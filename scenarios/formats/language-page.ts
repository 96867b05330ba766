// The reference page of the scenario language: every key of every part with its type and meaning, written from the
// schema, so that it can neither lack one nor name one that is gone.
import { z } from 'zod';
import { amount, duration, share, tokens } from './fields.ts';
import { scenarioSchema } from './scenario.ts';
import { BRANCHES, STEPS, VERBS } from './steps.ts';
import { UNBUILT } from './unbuilt.ts';

interface Row {
  readonly key: string;
  readonly type: string;
  readonly required: boolean;
  readonly words: string;
}

const NAMED = new Map<z.core.$ZodType, string>([
  [amount, 'amount'],
  [tokens, 'tokens'],
  [duration, 'duration'],
  [share, 'share'],
  [STEPS, 'steps'],
  [BRANCHES, 'branches'],
]);

/** The schema without optional and default around it. */
function bare(schema: z.core.$ZodType): z.core.$ZodType {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable
    ? bare(schema.def.innerType)
    : schema;
}

/** The name of a part that amounts and lists of steps are known by; a copy with a description keeps it. */
function nameOf(schema: z.core.$ZodType): string | null {
  for (let each: z.core.$ZodType | undefined = schema; each !== undefined; each = each._zod.parent) {
    const name = NAMED.get(each);
    if (name !== undefined) return name;
  }
  const { dimension } = (z.globalRegistry.get(schema) ?? {}) as { dimension?: string };
  return dimension === undefined ? null : (DIMENSION_WORDS[dimension] ?? dimension);
}

const DIMENSION_WORDS: Record<string, string> = {
  ms: 'duration',
  perSec: 'rate',
  ratio: 'share',
  usd: 'USD',
  usdPerHour: 'USD per hour',
};

function typeOf(given: z.core.$ZodType): string {
  const schema = bare(given);
  const name = nameOf(schema);
  if (name !== null) return name;
  if (schema instanceof z.ZodEnum) return schema.options.map(each => `\`${each}\``).join(', ');
  if (schema instanceof z.ZodLiteral)
    return [...new Set([...schema.values].map(each => `\`${each}\``))].join(', ');
  if (schema instanceof z.ZodNumber) return schema.format === 'safeint' ? 'whole number' : 'number';
  if (schema instanceof z.ZodString) return 'text';
  if (schema instanceof z.ZodBoolean) return '`true`, `false`';
  if (schema instanceof z.ZodArray) return `list of ${plural(typeOf(schema.element as z.ZodType))}`;
  if (schema instanceof z.ZodRecord) return 'mapping by name';
  if (schema instanceof z.ZodUnion)
    return [...new Set(schema.options.map(each => typeOf(each)))].join(' or ');
  return 'mapping';
}

const plural = (type: string): string => (/^(text|number|mapping|share)$/.test(type) ? `${type}s` : type);

/** The keys of a mapping, inner ones after their own; lists and names of mappings are passed through. */
function rowsOf(given: z.core.$ZodType, prefix = ''): Row[] {
  const schema = bare(given);
  if (nameOf(schema) !== null) return [];
  if (schema instanceof z.ZodArray) return rowsOf(schema.element as z.ZodType, `${prefix}[]`);
  if (schema instanceof z.ZodRecord) return rowsOf(schema.valueType as z.ZodType, `${prefix}.NAME`);
  if (schema instanceof z.ZodUnion) {
    const rows = schema.options.flatMap(option => rowsOf(option, prefix));
    return rows.filter((row, index) => rows.findIndex(each => each.key === row.key) === index);
  }
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).flatMap(([key, raw]) => {
    const value = raw as z.ZodType;
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const own: Row = {
      key: path,
      type: typeOf(value),
      required: !(value instanceof z.ZodOptional),
      words: value.description ?? (bare(value) as z.ZodType).description ?? '',
    };
    return [own, ...rowsOf(value, path)];
  });
}

const cell = (text: string): string => text.replace(/\|/g, '\\|').replace(/\n/g, ' ');

function table(rows: readonly Row[], later: Readonly<Record<string, string>>): string {
  const lines = rows.map(({ key, type, required, words }) => {
    const first = key.split(/[.[]/)[0] as string;
    const mark = later[key] === undefined && later[first] === undefined ? '' : ' †';
    return `| \`${key}\`${required ? ' *' : ''}${mark} | ${cell(type)} | ${cell(words)} |`;
  });
  return ['| key | type | meaning |', '|---|---|---|', ...lines].join('\n');
}

/** Parts of a scenario with a table of their own. */
const PARTS = [
  'models',
  'prefixes',
  'tools',
  'workflows',
  'tenants',
  'traffic',
  'faults',
  'figures',
] as const;

export function languagePage(): string {
  const { shape } = scenarioSchema;
  const top = Object.entries(shape).map(([key, raw]): Row => {
    const value = raw as z.ZodType;
    return {
      key,
      type: (PARTS as readonly string[]).includes(key) ? `[${typeOf(value)}](#${key})` : typeOf(value),
      required: !(value instanceof z.ZodOptional),
      words: value.description ?? '',
    };
  });
  const parts = PARTS.map(part => {
    const rows = rowsOf(shape[part]).map(row => ({ ...row, key: row.key.replace(/^(\.NAME|\[\])\.?/, '') }));
    return `## ${part}\n\n${table(rows, UNBUILT[part] ?? {})}`;
  });
  const steps = Object.entries(VERBS).map(
    ([verb, schema]) => `### ${verb}\n\n${table(rowsOf(schema), UNBUILT.step ?? {})}`,
  );
  return `# The scenario language, key by key

Written from the schema by \`windtunnel schema scenario --markdown\`. [scenarios.md](scenarios.md) teaches the language;
this page lists it. A \`*\` marks a required key, a † one that \`check\` understands and that no run obeys yet: a run that
would need it is refused by name. \`NAME\` stands for a name of yours, \`[]\` for each item of a list. Amounts (tokens,
durations, counts) are numbers with units, distributions or expressions ([scenarios.md](scenarios.md#amounts)).

## The file

${table(top, UNBUILT.scenario ?? {})}

## steps

${steps.join('\n\n')}

${parts.join('\n\n')}
`;
}
