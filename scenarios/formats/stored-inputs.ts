// inputs.json: what a run was made of, so that it can be made again by this version or a later one, and so that two
// runs can be told apart key by key. Files are stored as they ran: bases merged, --set applied, library entries whole.
import type { CatalogModel } from './catalog.ts';

export const INPUTS_SCHEMA_VERSION = 1;
export const INPUTS_FILE = 'inputs.json';

export interface StoredInputs {
  readonly schemaVersion: number;
  readonly kind: 'inputs';
  readonly scenario: {
    readonly name: string;
    readonly sha256: string;
    /** Only of a scenario does the seed decide. */
    readonly kind: 'scenario' | 'plan' | 'trace';
    /** As a scenario file holds it, traces seen from the folder that windtunnel was started in; null: see `problem`. */
    readonly value: unknown;
    /** Why it cannot be made again; null: it can. */
    readonly problem: string | null;
    /** As it was named. */
    readonly input: string;
  };
  readonly deployment: {
    readonly name: string;
    readonly sha256: string;
    readonly value: unknown;
    /** Models of the user's own that were known. */
    readonly models: readonly CatalogModel[];
    readonly input: string;
  };
  readonly seed: number | string;
  /** `--routing`: a policy's name or a file; null: as the deployment says. */
  readonly routing: string | null;
}
