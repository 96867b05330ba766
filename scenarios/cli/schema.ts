// `schema`: the JSON Schema of a file, for editors. `init` writes it beside what it makes.
import { writeFileSync } from 'node:fs';
import { UserError } from '../base/errors.ts';
import { deploymentJsonSchema, scenarioJsonSchema } from '../formats/json-schema/json-schema.ts';
import { languagePage } from '../formats/language-page.ts';
import { type Command, type CommonOptions, printJson, say, withCommon } from './terminal.ts';

const SCHEMAS = { scenario: scenarioJsonSchema, deployment: deploymentJsonSchema } as const;
type SchemaKind = keyof typeof SCHEMAS;

interface SchemaOptions extends CommonOptions {
  kind: SchemaKind;
  out: string | undefined;
  markdown: boolean;
}

export const schemaCommand: Command<SchemaOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('kind', {
        choices: Object.keys(SCHEMAS) as SchemaKind[],
        default: 'scenario' as const,
        describe: 'of which file',
      })
      .option('out', { type: 'string', describe: 'write it to this file [to the terminal]' })
      .option('markdown', {
        type: 'boolean',
        default: false,
        describe: 'the scenario language key by key, as a page (docs/language.md)',
      })
      .example('$0 schema --out scenario.schema.json', 'then name it in the first line of a scenario:')
      .example('# yaml-language-server: $schema=scenario.schema.json', '')
      .example('$0 schema deployment --out deployment.schema.json', 'the same for deployments'),
  handler: ({ kind, out, markdown, ...options }) => {
    if (markdown && kind !== 'scenario')
      throw new UserError('only the language of scenarios has a page', {
        hint: 'windtunnel schema --markdown',
      });
    const schema = SCHEMAS[kind]();
    if (out === undefined) {
      if (markdown) process.stdout.write(languagePage());
      else printJson(schema);
      return;
    }
    try {
      writeFileSync(out, markdown ? languagePage() : `${JSON.stringify(schema, null, 1)}\n`);
    } catch (error) {
      throw new UserError(`cannot write ${out}: ${(error as Error).message}`, {
        hint: 'choose another --out',
      });
    }
    if (options.json) printJson({ out });
    else if (markdown) say(options, `page: ${out}`);
    else say(options, `first line of a ${kind}:\n# yaml-language-server: $schema=${out}`);
  },
};
