// Bad input is a value: a list of issues, each at a place, with what to do about it.

/** Keys and indexes from the root of a document, e.g. ['workflows', 'scan', 'steps', 0, 'map']. */
export type InputPath = readonly (string | number)[];

export interface Issue {
  path: InputPath;
  /** Stable, listed in base/errors.ts. */
  code: string;
  message: string;
  /** What to change; null where the message says it. */
  hint: string | null;
  severity: 'error' | 'warning';
  /** Point at the key of the last path element rather than at its value (unknown keys). */
  atKey?: boolean;
}

export function issue(
  path: InputPath,
  code: string,
  message: string,
  hint: string | null = null,
  options: { atKey?: boolean; severity?: 'error' | 'warning' } = {},
): Issue {
  return { path, code, message, hint, severity: options.severity ?? 'error', atKey: options.atKey ?? false };
}
