// Models of your own: `windtunnel.catalog.json` in the working folder or beside a deployment, written by `catalog add`
// and read by every command that resolves a deployment.
import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UserError } from '../scenarios/base/errors.ts';
import { readText, shown } from '../scenarios/cli/library.ts';
import { InputIssues } from '../scenarios/cli/terminal.ts';
import { type CatalogModel, parseCatalogFile } from '../scenarios/formats/catalog.ts';
import { parseSource } from '../scenarios/formats/source.ts';
import { findModel, type Model } from './catalog.ts';
import { type ReadModel, readModel } from './hugging-face.ts';

export const CATALOG_FILE = 'windtunnel.catalog.json';

/** The models of one file; an empty list where there is none. */
function modelsIn(path: string): readonly CatalogModel[] {
  if (!existsSync(path)) return [];
  const source = parseSource(readText(path), shown(path));
  const { file, issues } = parseCatalogFile(source);
  if (file === null) throw new InputIssues([{ issues, source }]);
  const taken = file.models.find(model => findModel(model.id) !== null);
  if (taken === undefined) return file.models;
  throw new UserError(`${shown(path)}: "${taken.id}" is a model that ships with Windtunnel`, {
    hint: 'give it an id of its own',
  });
}

/** Models beside a deployment, then those of the working folder; of one id the first counts. */
export function addedModels(deployment: string | null = null): readonly Model[] {
  const folders = [...(deployment === null ? [] : [dirname(deployment)]), '.'].map(folder => resolve(folder));
  const rows = [...new Set(folders)].flatMap(folder => modelsIn(join(folder, CATALOG_FILE)));
  return rows.filter((row, index) => rows.findIndex(each => each.id === row.id) === index);
}

/** The digest of a deployment that rests on models of the user's. */
export function digestWith(sha256: string, used: readonly Model[]): string {
  return used.length === 0
    ? sha256
    : createHash('sha256').update(sha256).update(JSON.stringify(used)).digest('hex');
}

export interface AddOptions {
  /** Path of a config.json, or of the folder it lies in. */
  config: string;
  id: string | undefined;
  name: string | undefined;
  /** The file that the row goes into. */
  out: string | undefined;
}

export interface AddedModel extends ReadModel {
  /** The file, as a message shows it. */
  file: string;
  /** Whether a row of that id was there before. */
  isReplaced: boolean;
}

/** Reads a config and writes its row into a file of models. */
export function addModel({ config, id, name, out = CATALOG_FILE }: AddOptions): AddedModel {
  const path = existsSync(join(config, 'config.json')) ? join(config, 'config.json') : config;
  const json = jsonOf(path);
  const called = id ?? idOf(json, path);
  if (findModel(called) !== null) {
    throw new UserError(`"${called}" is a model that ships with Windtunnel`, {
      hint: `give it another id: --id my-${called}`,
    });
  }
  const read = readModel(json, { id: called, name: name ?? called, source: `added from ${basename(path)}` });
  if (read === null)
    throw new UserError(`${shown(path)} is no config.json: not a mapping`, {
      hint: 'name the config.json of a Hugging Face model',
    });
  if ('missing' in read) {
    throw new UserError(`${shown(path)} has no ${read.missing.join(', ')}`, {
      hint: 'name the config.json of a language model; a config of weights alone does not say enough',
    });
  }
  const rows = modelsIn(out);
  const others = rows.filter(row => row.id !== called);
  const models = [...others, read.model].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  writeFileSync(out, `${JSON.stringify({ windtunnel: 1, models }, null, 2)}\n`);
  return { ...read, file: shown(out), isReplaced: others.length < rows.length };
}

function jsonOf(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${shown(path)} is not JSON: ${(error as Error).message}`, {
      hint: 'name the config.json of a Hugging Face model',
    });
  }
}

/** What the config or its folder calls the model. */
function idOf(json: unknown, path: string): string {
  const own =
    typeof json === 'object' && json !== null ? (json as { _name_or_path?: unknown })._name_or_path : null;
  const file = basename(path, '.json').replace(/[._-]?config$/, '');
  const told =
    typeof own === 'string' && own !== '' ? basename(own) : file || basename(dirname(resolve(path)));
  const id = told.toLowerCase().replace(/[^a-z0-9._-]+/g, '-');
  if (/[a-z0-9]/.test(id)) return id;
  throw new UserError(`${shown(path)} does not say what the model is called`, { hint: 'add --id my-model' });
}
