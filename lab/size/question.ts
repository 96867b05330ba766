// A question about a deployment that is not "which is the cheapest": one file in questions/ and a line in its index.

import type { DeploymentSpec } from '../../engines/engine.ts';
import type { LoadedDeployment } from '../../engines/load.ts';
import type { DrawnChart } from '../../reports/charts/chart.ts';
import type { Candidate } from './candidate.ts';
import type { Evaluator } from './evaluate.ts';
import type { Stretch } from './traffic.ts';

/** What a question has to work with. */
export interface Asking {
  readonly evaluator: Evaluator;
  /** The deployment as the file has it: what is asked about. */
  readonly candidate: Candidate;
  readonly deployed: LoadedDeployment;
  readonly deployment: DeploymentSpec;
  /** Long enough for this scenario: its start has worn off, and sessions have ended. */
  readonly stretch: Stretch;
  readonly seeds: number;
  /** What is asked beside it, value by name: `growth`. */
  readonly others?: Readonly<Record<string, string>>;
  /** Shown while it goes on. */
  tell(text: string): void;
}

/** The answer: first in words, then what it rests on. */
export interface Answer {
  /** One sentence that answers. */
  readonly title: string;
  /** What a reader does with it, what it rests on, what would change it: a sentence each. */
  readonly lines: readonly string[];
  /** For --json and size.json; plain data. */
  readonly data: unknown;
  readonly charts: readonly DrawnChart[];
  /** Whether what was asked for can be had: false exits with 99. */
  readonly isMet: boolean;
}

export interface Question {
  /** Name of its option without dashes: `max-load`. */
  readonly name: string;
  /** What it asks, as in --help. */
  readonly describe: string;
  /** `true` where the option takes no value. */
  readonly isFlag: boolean;
  ask(asking: Asking, value: string): Promise<Answer>;
}
