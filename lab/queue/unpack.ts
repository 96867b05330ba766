// What was shipped, as files of this machine: each fetched once, checked against its digest, under a folder that goes
// when the worker does.
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { isPath } from '../../gateway/routing/outside.ts';
import { libraryPath } from '../../scenarios/cli/library.ts';
import type { LoadOptions } from '../../scenarios/cli/load.ts';
import type { GridCase, Outcome } from '../grid/case.ts';
import { SHIPPED, type ShippedFile, type ShippedInput } from './message.ts';
import { isLibraryName, measureUrl } from './ship.ts';

const ID = /^[0-9a-f]{16}$/;
/** Names in a folder, none of which leads out of it; none is a file that would be run. */
const isInside = (path: string): boolean =>
  path !== '' &&
  path.split('/').every(part => !['', '.', '..'].includes(part) && !/[\\:\0]/.test(part)) &&
  !/\.[cm]?[jt]sx?$/i.test(path);

export class Unpacked {
  readonly folder = mkdtempSync(join(tmpdir(), 'windtunnel-worker-'));
  private readonly inputs = new Map<string, Promise<void>>();
  /** Where the bytes of a digest lie already. */
  private readonly paths = new Map<string, string>();

  /** Writes what is not there yet. `fetch` gives the compressed bytes of a digest, null where nobody has them. */
  async add(
    inputs: readonly ShippedInput[],
    fetch: (sha256: string) => Promise<Buffer | null>,
  ): Promise<void> {
    for (const input of inputs) {
      const known = this.inputs.get(input.id) ?? this.write(input, fetch);
      this.inputs.set(input.id, known);
      // A file that could not be had now may be there for the next case.
      await known.catch(error => {
        this.inputs.delete(input.id);
        throw error;
      });
    }
  }

  private async write({ id, files }: ShippedInput, fetch: (sha256: string) => Promise<Buffer | null>) {
    if (!ID.test(id)) throw new Error(`${JSON.stringify(id)} is no input`);
    for (const file of files) {
      if (!isInside(file.path)) throw new Error(`an input has a file outside of its folder: ${file.path}`);
      const path = join(this.folder, id, file.path);
      mkdirSync(dirname(path), { recursive: true });
      const known = this.paths.get(file.sha256);
      if (known !== undefined) copyFileSync(known, path);
      else writeFileSync(path, checked(file, await fetch(file.sha256)));
      this.paths.set(file.sha256, path);
    }
  }

  /** The case as this machine can run it. */
  local(given: GridCase): GridCase {
    const { scenario, deployment, measure } = given;
    const policy = deployment.change?.routing?.policy;
    if (policy !== undefined && isPath(policy))
      throw new Error(`a routing policy is named by a file: ${policy}`);
    return {
      ...given,
      scenario: this.localScenario(scenario),
      deployment: { ...deployment, input: this.at(deployment.input) },
      ...(measure !== undefined && { measure: measureUrl(measure) }),
    };
  }

  localScenario({ input, options }: GridCase['scenario']): GridCase['scenario'] {
    const { traceFiles } = options;
    const local: LoadOptions =
      traceFiles === undefined
        ? options
        : {
            ...options,
            traceFiles: Object.fromEntries(
              Object.entries(traceFiles).map(([name, path]) => [name, this.at(path)]),
            ),
          };
    return { input: this.at(input), options: local };
  }

  private at(name: string): string {
    if (!name.startsWith(SHIPPED)) {
      const isKnown = (['scenarios', 'deployments'] as const).some(kind => libraryPath(name, kind) !== null);
      if (isLibraryName(name) && isKnown) return name;
      throw new Error(`${JSON.stringify(name)} was not shipped, and is not in the library`);
    }
    const path = name.slice(SHIPPED.length);
    if (!isInside(path) || !ID.test(path.split('/')[0] as string))
      throw new Error(`${JSON.stringify(name)} is no file of an input`);
    return join(this.folder, path);
  }

  /** Words that name our folder would tell the coordinator's user nothing. */
  withoutFolder(outcome: Outcome): Outcome {
    if (outcome.ok) return outcome;
    const { failure } = outcome;
    const folder = new RegExp(
      `[\\w./\\\\-]*${this.folder.split(/[\\/]/).at(-1)}[\\\\/][0-9a-f]{16}[\\\\/]`,
      'g',
    );
    return { ok: false, failure: { ...failure, message: failure.message.replace(folder, '') } };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function checked({ path, sha256, bytes }: ShippedFile, packed: Buffer | null): Buffer {
  if (packed === null) throw new Error(`${path} is not at the queue any more`);
  const content = gunzipSync(packed, { maxOutputLength: Math.max(1, bytes) });
  const found = createHash('sha256').update(content).digest('hex');
  if (found !== sha256) throw new Error(`${path} has the digest ${found}, and ${sha256} was announced`);
  return content;
}
