// `catalog`: what there is to name: GPUs, models, prices, library entries.
import { libraryNames } from '../scenarios/cli/library.ts';
import { type Command, type CommonOptions, printJson, say, withCommon } from '../scenarios/cli/terminal.ts';
import { allGpus, allListPrices, allModels, listPrice } from './catalog.ts';

interface CatalogOptions extends CommonOptions {
  kind: string | undefined;
}

const giga = (value: number | null): string => (value === null ? '-' : (value / 1e9).toFixed(0));

export const catalogCommand: Command<CatalogOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('kind', { choices: ['gpus', 'models', 'prices', 'library'], describe: 'one list only' })
      .example('$0 catalog models', 'ids to write behind `model:`'),
  handler: options => {
    const lists = {
      gpus: allGpus(),
      models: allModels(),
      prices: allListPrices(),
      library: { scenarios: libraryNames('scenarios'), deployments: libraryNames('deployments') },
    };
    const wanted = options.kind === undefined ? Object.keys(lists) : [options.kind];
    if (options.json) {
      printJson(Object.fromEntries(Object.entries(lists).filter(([name]) => wanted.includes(name))));
      return;
    }
    if (wanted.includes('library')) {
      say(
        options,
        `scenarios    ${lists.library.scenarios.join(', ')}\ndeployments  ${lists.library.deployments.join(', ')}\n`,
      );
    }
    if (wanted.includes('gpus')) {
      say(
        options,
        table([
          ['gpu', 'memory GB', 'GB/s', 'bf16 TFLOP/s'],
          ...lists.gpus.map(gpu => [
            gpu.id,
            giga(gpu.memoryBytes),
            giga(gpu.memoryBandwidthBytesPerSec),
            gpu.bf16DenseFlops === null ? '-' : (gpu.bf16DenseFlops / 1e12).toFixed(0),
          ]),
        ]),
      );
    }
    if (wanted.includes('models')) {
      say(
        options,
        table([
          ['model', 'params B', 'active B', 'window', 'list price in/out'],
          ...lists.models.map(model => {
            const price = listPrice(model.id);
            return [
              model.id,
              giga(model.totalParams),
              giga(model.activeParamsPerToken),
              String(model.maxContextTokens ?? '-'),
              price === null ? '-' : `$${price.inputUsdPerMTok}/$${price.outputUsdPerMTok}`,
            ];
          }),
        ]),
      );
    }
    if (wanted.includes('prices')) {
      say(
        options,
        table([
          ['API model', 'in', 'cached in', 'out', 'as of'],
          ...lists.prices.map(price => [
            price.id,
            String(price.inputUsdPerMTok),
            String(price.cacheReadUsdPerMTok ?? '-'),
            String(price.outputUsdPerMTok),
            price.asOf,
          ]),
        ]),
      );
    }
  },
};

/** Left-aligned first column, the rest right-aligned. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] as readonly string[]).map((_, column) =>
    Math.max(...rows.map(row => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number),
      )
      .join('  ');
  return `${rows.map(line).join('\n')}\n`;
}
