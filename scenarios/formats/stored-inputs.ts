// inputs.json: what a run was made of, so that it can be made again by this version or a later one, and so that two
// runs can be told apart key by key. Files are stored as they ran: bases merged, --set applied, library entries whole.

export const INPUTS_SCHEMA_VERSION = 1;

export interface StoredInputs {
  readonly schemaVersion: number;
  readonly kind: 'inputs';
  readonly scenario: {
    readonly name: string;
    readonly sha256: string;
    /** A scenario file; a plan or a trace is kept by name and cannot vary with the seed. */
    readonly kind: 'scenario' | 'plan' | 'trace';
    /** The settled scenario; null: a trace named directly, with `path` and `options`. */
    readonly value: unknown;
    /** As it was named, and the folder that its own relative paths start from. */
    readonly input: string;
    readonly base: string;
    /** Command-line options that bend a trace: `timing`, `gap-scale`, `warm`… */
    readonly options: Readonly<Record<string, string | number | boolean>>;
  };
  readonly deployment: {
    readonly name: string;
    readonly sha256: string;
    readonly value: unknown;
    readonly input: string;
  };
  readonly seed: number | string;
  /** `--routing`: a policy's name or a file; null: as the deployment says. */
  readonly routing: string | null;
}
