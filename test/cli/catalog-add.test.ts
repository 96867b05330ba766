// `catalog add`: a model from its config.json, listed as the user's own and served by the deployments of its folder.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { emptyFolder, windtunnel, write } from './run.ts';

const CONFIG = JSON.stringify({
  _name_or_path: 'acme/Acme-30B',
  model_type: 'qwen3_moe',
  hidden_size: 2048,
  head_dim: 128,
  moe_intermediate_size: 768,
  intermediate_size: 6144,
  num_experts: 128,
  num_experts_per_tok: 8,
  num_attention_heads: 32,
  num_hidden_layers: 48,
  num_key_value_heads: 4,
  vocab_size: 151_936,
  max_position_embeddings: 40_960,
  quantization_config: { quant_method: 'fp8' },
});
const DEPLOYMENT = `windtunnel: 1
deployment: mine
pools:
  main: { model: acme-30b, gpu: h100-80gb-sxm, precision: { weights: fp8 } }
`;

describe('catalog add', () => {
  test('writes a row that catalog lists as yours and that deployments of the folder serve', () => {
    const folder = emptyFolder();
    write(folder, 'config.json', CONFIG);
    const added = windtunnel(['catalog', 'add', 'config.json'], folder);
    expect(added.err).toBe('');
    expect(added.code).toBe(0);
    expect(added.out).toContain('acme-30b added in windtunnel.catalog.json');
    expect(added.out).toContain('parameters   30.53 B, 3.353 B for a token');
    expect(added.out).toContain('assumed: embedding and unembedding are two');
    expect(added.out).toContain('use it: model: acme-30b, with precision: { weights: fp8 }');
    const listed = windtunnel(['catalog', 'models', 'acme'], folder);
    expect(listed.out).toContain('acme-30b (yours)');

    write(folder, 'mine.yaml', DEPLOYMENT);
    expect(windtunnel(['check', 'job-scanner', '-d', 'mine.yaml'], folder).code).toBe(0);
    // From another folder it is found beside the deployment.
    const elsewhere = emptyFolder();
    const far = windtunnel(['check', 'job-scanner', '-d', join(folder, 'mine.yaml')], elsewhere);
    expect(far.code).toBe(0);
    const again = windtunnel(['catalog', 'add', 'config.json', '--json'], folder);
    expect(JSON.parse(again.out)).toMatchObject({ isReplaced: true, model: { id: 'acme-30b' } });
    expect(JSON.parse(readFileSync(join(folder, 'windtunnel.catalog.json'), 'utf8')).models).toHaveLength(1);
  });

  test('without it the model is unknown, and the hint says how to add it', () => {
    const folder = emptyFolder();
    write(folder, 'mine.yaml', DEPLOYMENT);
    const { code, err } = windtunnel(['check', 'job-scanner', '-d', 'mine.yaml'], folder);
    expect(code).toBe(104);
    expect(err).toContain('WT1201 the catalogue has no model "acme-30b"');
    expect(err).toContain('catalog add config.json');
  });

  test('refuses what is no config, an id that ships, and a broken file of models, each with what to do', () => {
    const folder = emptyFolder();
    write(folder, 'config.json', CONFIG);
    write(folder, 'short.json', '{ "hidden_size": 64 }');
    write(folder, 'text.json', 'not json');
    mkdirSync(join(folder, 'empty'));
    const refusal = (...args: string[]) => {
      const ran = windtunnel(['catalog', 'add', ...args], folder);
      expect(ran.code).toBe(104);
      return ran.err;
    };
    expect(refusal('short.json')).toContain(
      'short.json has no num_hidden_layers, num_attention_heads, vocab_size',
    );
    expect(refusal('text.json')).toContain('text.json is not JSON');
    expect(refusal('empty')).toContain('cannot read empty');
    expect(refusal('config.json', '--id', 'llama-3.1-8b')).toContain('--id my-llama-3.1-8b');
    expect(refusal()).toContain('catalog add takes one config.json');
    expect(existsSync(join(folder, 'windtunnel.catalog.json'))).toBe(false);
    write(folder, 'windtunnel.catalog.json', '{ "windtunnel": 1, "models": [{ "id": "x" }] }');
    write(folder, 'mine.yaml', DEPLOYMENT);
    const { code, err } = windtunnel(['check', 'job-scanner', '-d', 'mine.yaml'], folder);
    expect(code).toBe(104);
    expect(err).toMatch(/windtunnel\.catalog\.json:1:\d+ {2}error {2}WT1004/);
  });

  test('options of add are refused where nothing is added', () => {
    const { code, err } = windtunnel(['catalog', 'models', '--id', 'x'], emptyFolder());
    expect(code).toBe(104);
    expect(err).toContain('--id is for catalog add');
  });
});
