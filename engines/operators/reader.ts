// The rim of `init --from`: reads with the user's own catalogue, and writes the deployment as YAML under a comment.
import type { OperatorsReader } from '../../scenarios/cli/init.ts';
import { InputIssues } from '../../scenarios/cli/terminal.ts';
import { addedModels } from '../user-catalog.ts';
import { heading, listed, yamlFile } from './operator-file.ts';
import { isOperatorsText, readOperators } from './read.ts';

export const operatorsReader: OperatorsReader = {
  isTheirs: isOperatorsText,
  read(text, options) {
    const read = readOperators(text, { ...options, added: addedModels() });
    if ('issues' in read) throw new InputIssues([read]);
    const { value, unmapped, notes, unknownModels } = read.deployment;
    const file = options.file.split('/').at(-1) ?? options.file;
    const head = [
      ...heading(`Written by \`windtunnel init --from ${file}\`.`, [], []),
      ...listed('Taken as:', notes),
      ...listed(
        `Not in here, of ${file}:`,
        unmapped.map(({ path, why }) => `${path}: ${why}`),
      ),
    ];
    return {
      name: String(value.deployment),
      text: yamlFile(head, [value]),
      unmapped,
      notes,
      unknownModels: [...unknownModels].map(([id, name]) => ({ id, name })),
    };
  },
};
