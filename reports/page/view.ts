// What a section of the page is given: the runs, the one that is looked at, and a pen for charts.
import type { ComparisonResult } from '../../scenarios/formats/comparison.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { ValidationResult } from '../../scenarios/formats/validation.ts';
import type { Chart } from '../charts/chart.ts';
import { type Html, html } from '../html.ts';

export interface View {
  /** The run that is looked at; in a block about all runs the first one. */
  readonly run: RunResult;
  readonly runs: readonly RunResult[];
  /** Of the runs, told apart, in the same order. */
  readonly names: readonly string[];
  /** What the page is about, if not single runs. */
  readonly validation: ValidationResult | null;
  readonly comparison: ComparisonResult | null;
  /** The figure of a chart of `run`, by its id in charts/index.ts. */
  readonly chart: (id: string) => Html;
  /** The figure of any other chart, such as one over all runs. */
  readonly draw: <Input>(chart: Chart<Input>, input: Input) => Html;
}

/** Of a block that has nothing to show: why, and the command that would fill it, as it can be typed. */
export interface Missing {
  readonly why: string;
  readonly command: string | null;
}

/** A section gives null where it has nothing to say. */
export type Section = (view: View) => Html | null;

/** One part of a block under a heading of its own. */
export const part = (title: string, body: Html): Html =>
  html`<div class="part"><h3 class="label">${title}</h3>${body}</div>`;
