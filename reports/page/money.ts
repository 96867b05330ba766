// Block 8 beyond the run's own bill: GPUs of one's own or an API, what moves the cost, and hybrid routing.
import { breakEvenNote } from '../charts/break-even.ts';
import { hybridChart } from '../charts/hybrid.ts';
import { html } from '../html.ts';
import { apiShare } from '../money.ts';
import { showRatio } from '../numbers.ts';
import type { Section } from './view.ts';

/** Where the runs of the page buy different parts of their calls. */
export const hybridSection: Section = ({ runs, draw }) =>
  new Set(runs.flatMap(run => apiShare(run) ?? [])).size > 1 ? draw(hybridChart, runs) : null;

/** null: no price is known. */
export const breakEvenSection: Section = ({ run, runs, chart }) => {
  if (run.cost === undefined) return null;
  const note = breakEvenNote(run);
  const share = apiShare(run);
  const isAlone = runs.length === 1 && share !== null && share > 0 && share < 1;
  return html`
    ${chart('break-even')}
    ${note !== null && html`<p class="note">${note}</p>`}
    ${chart('cost-tornado')}
    ${isAlone && html`<p class="note">An API served ${showRatio(share)} of the calls. With runs that send it more and less, <code>windtunnel report A B C</code> draws share, cost and time against one another; <code>windtunnel study hybrid</code> does it for one scenario.</p>`}`;
};
