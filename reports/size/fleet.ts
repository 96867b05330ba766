// The best use of a fleet: its page, and the same on the terminal.
import type { FleetResult } from '../../scenarios/formats/size-fleet.ts';
import type { Chart } from '../charts/chart.ts';
import { type Html, html } from '../html.ts';
import { showNumber, unbroken } from '../numbers.ts';
import { table } from '../page/table.ts';
import { document, figure, type Payload } from '../page.ts';
import type { PageRuntime } from '../runtime.ts';
import { fleetCombinationsChart } from './charts/fleet-combinations.ts';
import { fleetPoolsChart } from './charts/fleet-pools.ts';
import {
  closestLines,
  costText,
  effortLine,
  enoughLines,
  fleetHeadline,
  heldText,
  moreText,
  POOL_COLUMNS,
  poolRows,
  promiseLines,
  runnerUpLine,
  tightestText,
} from './fleet-words.ts';
import { labelled, marked, tableLines } from './lines.ts';

export const FLEET_CHARTS: readonly Chart<FleetResult>[] = [fleetCombinationsChart, fleetPoolsChart];

/** Combinations that are listed; size.json has all. */
const LISTED_MAX = 40;

const isHeld = ({ answer }: FleetResult): boolean => (answer?.loadRatio ?? 0) >= 1;

const list = (lines: readonly (string | null)[]): Html =>
  html`<ul>${lines.map(line => line !== null && html`<li>${unbroken(line)}</li>`)}</ul>`;

const section = (title: string, ...body: (Html | null | false)[]): Html =>
  html`<section class="block"><h2>${title}</h2>${body}</section>`;

function combinationTable({ combinations, impossible }: FleetResult): Html {
  const rows = combinations
    .slice(0, LISTED_MAX)
    .map(({ name, loadRatio, gpus, boundRatio, rung, left }) => [
      name,
      `${showNumber(loadRatio)}x`,
      gpus.join(' + '),
      boundRatio === null ? '–' : `${showNumber(boundRatio)}x`,
      rung ?? 'no run',
      left ?? 'the answer',
    ]);
  return html`${table(['Combination', 'held', 'GPUs', 'no more by arithmetic', 'looked at in runs', 'why no further'], rows)}
    ${combinations.length > LISTED_MAX && html`<p class="note">The first ${LISTED_MAX} of ${combinations.length}; size.json has all.</p>`}
    ${impossible.length > 0 && html`<h3>What cannot be built</h3>${list(impossible.map(({ name, why }) => `${name}: ${why}`))}`}`;
}

export function fleetPage(result: FleetResult, runtime: PageRuntime): string {
  const { answer, scenario, base, files, notes, evidence, promises, command } = result;
  const payload: Payload = {};
  const title = `fleet: ${scenario.name} @ ${base}`;
  const isKept = isHeld(result);
  const word = answer === null ? 'impossible' : isKept ? 'held' : 'not held';
  const body = html`<header class="verdict ${isKept ? 'pass' : 'fail'}">
      <p class="eyebrow"><span class="status">● ${word}</span> ${scenario.name} @ ${base}, simulated</p>
      <h1>${unbroken(fleetHeadline(result))}</h1>
      ${answer !== null && html`<p>${unbroken(heldText(answer))}.</p>`}
      <p>${unbroken(effortLine(result))}.</p>
    </header>
    ${answer === null && section('How close one can get', list(closestLines(result)))}
    ${
      answer !== null &&
      section(
        'How the GPUs are best used',
        table(POOL_COLUMNS, poolRows(answer)),
        html`<p>Router: ${answer.routing}.</p>`,
        list([costText(answer), ...promiseLines(answer)]),
        figure(fleetPoolsChart, result, 'fleet', payload),
      )
    }
    ${
      answer !== null &&
      section(
        'What limits it, and what is left',
        list([tightestText(result), moreText(result), ...enoughLines(result)]),
      )
    }
    ${section('What else the GPUs could do', list([runnerUpLine(result)]), figure(fleetCombinationsChart, result, 'fleet', payload), combinationTable(result))}
    <section class="block"><h2>Where these numbers come from</h2><dl class="facts">
      <dt>Run it again</dt><dd><code class="command">${command}</code></dd>
      ${files.length > 0 && html`<dt>Written</dt><dd>${list(files.map(({ path, what }) => `${path}: ${what}`))}</dd>`}
      <dt>Promises</dt><dd>${list(promises)}</dd>
      ${notes.length > 0 && html`<dt>Taken</dt><dd>${list(notes)}</dd>`}
      <dt>Rests on</dt><dd>${list(evidence)}</dd>
    </dl></section>`;
  return document(
    {
      title,
      body,
      summary: { ...result, combinations: undefined },
      payload,
      footer: 'One file, no network. Numbers come from size.json beside it.',
    },
    runtime,
  );
}

export function fleetSummary(result: FleetResult, { reportPath }: { reportPath: string }): string {
  const { answer, notes, files } = result;
  const lines = [...marked(isHeld(result) ? '✓ ' : '✗ ', fleetHeadline(result)), ''];
  const add = (label: string, texts: readonly (string | null)[]): void => {
    lines.push(...labelled(label, texts));
  };
  if (answer !== null) {
    lines.push(...tableLines(POOL_COLUMNS, poolRows(answer)), '');
    add('router', [answer.routing]);
    add('holds', [heldText(answer)]);
    add('promises', promiseLines(answer));
    add('cost', [costText(answer)]);
    add('tightest', [tightestText(result)]);
    add('more', [moreText(result)]);
    add('enough', enoughLines(result));
    add('runner-up', [runnerUpLine(result)]);
  } else add('', closestLines(result));
  lines.push('');
  add('searched', [effortLine(result)]);
  add('note', notes);
  add(
    'files',
    files.map(({ path, what }) => `${path}: ${what}`),
  );
  add('page', [reportPath]);
  return `${lines.join('\n')}\n`;
}
