// Blocks 2 and 3 of the page: what the runs on it trade against one another, and how they bear more load.
import { frontier, frontierCost } from '../charts/frontier.ts';
import { loadCurve, loadLatency, loadText } from '../charts/load-curve.ts';
import { html } from '../html.ts';
import type { Section } from './view.ts';

/** To be run again into another folder. */
const withoutOut = (command: string): string => command.replace(/ --out[= ]('[^']*'|\S+)/, '');

export const frontierSection: Section = ({ run, runs, draw }) => html`
  ${draw(frontier, runs)}
  ${draw(frontierCost, runs)}
  ${
    runs.length === 1 &&
    html`<p class="note">One run is one point. Another one: <code>${withoutOut(run.header.command)} --set pools.POOL.replicas=2 --out OTHER</code>, then <code>windtunnel report THIS OTHER</code>. <code>windtunnel bench-policies</code> tries every policy of a kind over a range of loads.</p>`
  }`;

export const loadSection: Section = ({ runs, draw }) => {
  const text = loadText(runs);
  return html`${draw(loadCurve, runs)}${draw(loadLatency, runs)}${text !== null && html`<p class="note">${text}.</p>`}`;
};
