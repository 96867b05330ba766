// Why it was slow, beyond the chart: what to try, when pools had more than they could do, calls that took far longer
// than others of their step, and what the GPU time went into.
import type { Bottleneck, SaturationSpan, Suggestion } from '../../scenarios/formats/result.ts';
import { type Html, html } from '../html.ts';
import { plural, showCount, showMs, showRatio, unbroken } from '../numbers.ts';
import { table } from './table.ts';
import { part, type Section } from './view.ts';

/** Rows of each table; result.json has all. */
const SPANS_SHOWN = 12;

const suggestionList = (suggestions: readonly Suggestion[]): Html =>
  html`<ol class="tries">${suggestions.map(
    ({ text, command }) =>
      html`<li>${unbroken(text)}${command !== null && html`: <code class="command">${command}</code>`}</li>`,
  )}</ol>`;

const CAUSES: Record<SaturationSpan['cause'], string> = {
  kv: 'its KV cache was full',
  queue: 'requests waited for room in a batch',
};

function saturationTable({ saturation, saturatedRatio, preemptions }: Bottleneck): Html {
  if (saturation.length === 0)
    return html`<p class="note">No pool had more than it could do for longer than a moment; ${plural(preemptions, 'preemption')}.</p>`;
  const left = saturation.length - SPANS_SHOWN;
  return html`${table(
    ['Saturated', 'from', 'to', 'for', 'because'],
    saturation
      .slice(0, SPANS_SHOWN)
      .map(({ pool, startMs, endMs, cause }) => [
        pool,
        showMs(startMs),
        showMs(endMs),
        showMs(endMs - startMs),
        CAUSES[cause],
      ]),
  )}
  <p class="note">${showRatio(saturatedRatio)} of the run, ${plural(preemptions, 'preemption')}.${left > 0 && ` ${showCount(left)} more spans are in result.json.`}</p>`;
}

function stragglerTable({ stragglers }: Bottleneck): Html | null {
  if (stragglers.length === 0) return null;
  return html`${table(
    ['Straggler', 'session', 'took', 'median of its step', 'its workflow lost'],
    stragglers.map(({ session, call, e2eMs, stepMedianMs, lostMs }) => [
      call,
      session,
      showMs(e2eMs),
      showMs(stepMedianMs),
      lostMs > 0 ? showMs(lostMs) : 'nothing: others took longer',
    ]),
  )}`;
}

export const whySection: Section = ({ run, chart }) => {
  const { bottleneck, suggestions = [] } = run;
  return html`
    ${suggestions.length > 0 && part('Try next', suggestionList(suggestions))}
    ${bottleneck !== undefined && part('More than could be done', saturationTable(bottleneck))}
    ${bottleneck !== undefined && bottleneck.stragglers.length > 0 && part('Stragglers', html`${stragglerTable(bottleneck)}`)}
    ${run.header.world === 'sim' && part('GPU time', chart('gpu-time'))}`;
};
