// What a section of the page is given, with charts as words: `[chart latency-cdf]`.
import { html } from '../../reports/html.ts';
import type { View } from '../../reports/page/view.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';

export const aView = (run: RunResult, over: Partial<View> = {}): View => ({
  run,
  runs: [run],
  names: [run.header.scenario.name],
  validation: null,
  comparison: null,
  chart: id => html`[chart ${id}]`,
  draw: ({ id }) => html`[chart ${id}]`,
  ...over,
});
