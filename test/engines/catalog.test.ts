import { describe, expect, it } from 'vitest';
import {
  allGpus,
  allListPrices,
  allModels,
  findGpu,
  findModel,
  listPrice,
  unknownEntry,
} from '../../engines/catalog.ts';

describe('the catalogue', () => {
  it.each([
    ['GPU', allGpus],
    ['model', allModels],
    ['price', allListPrices],
  ])('has %s rows with unique ids', (_kind, rows) => {
    const ids = rows().map(row => row.id);
    expect(ids.length).toBeGreaterThan(10);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('keeps a figure that is not known as null, never 0', () => {
    expect(findModel('deepseek-v4-pro')?.kvBytesPerTokenBf16).toBeNull();
    expect(findGpu('a100-80gb-sxm')?.fp8DenseFlops).toBeNull();
    expect(findGpu('a10g')?.bf16DenseFlops).toBeNull();
    const numbers = allGpus().flatMap(row => Object.values(row).filter(value => typeof value === 'number'));
    expect(numbers.every(value => value > 0)).toBe(true);
  });

  it('gives the API price of the same open model, or null', () => {
    expect(listPrice('mistral-small-4')).toMatchObject({ inputUsdPerMTok: 0.15, outputUsdPerMTok: 0.6 });
    expect(listPrice('ministral-3-14b')?.id).toBe('mistral/ministral-3-14b-2512');
    expect(listPrice('mistral/mistral-small-2603')?.provider).toBe('mistral');
    expect(listPrice('llama-3.1-8b')).toBeNull();
    expect(listPrice('constructor')).toBeNull();
  });

  it('names every model that is also sold by a row that exists', () => {
    const sold = allModels().filter(model => listPrice(model.id) !== null);
    expect(sold.map(model => model.id)).toContain('gpt-oss-120b');
    expect(sold.length).toBe(9);
  });

  it('answers an unknown id with the nearest one and where the list is', () => {
    expect(unknownEntry('model', 'mistral-smal-4', ['pools', 'main', 'model'])).toMatchObject({
      code: 'WT1201',
      message: 'the catalogue has no model "mistral-smal-4"',
      hint: 'did you mean "mistral-small-4"? `windtunnel catalog` lists every model; `windtunnel catalog add config.json` adds one',
    });
    expect(unknownEntry('GPU', 'abacus', []).hint).toBe(
      '`windtunnel catalog` lists every GPU; or give `gpu_figures`',
    );
  });
});
