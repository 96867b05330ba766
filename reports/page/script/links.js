// Which run is seen, and links into the page: `#run=1&block=timeline&chart=rates&workflow=chat/3`.
import { byId, chartOf, shownOf } from './draw.js';
import { chooseById } from './picker.js';

function showRun(run) {
  const select = byId('run-select');
  if (select) select.value = run;
  for (const part of document.querySelectorAll('.run[data-run]')) part.hidden = part.dataset.run !== run;
}

const runShown = () => byId('run-select')?.value ?? '0';

/** The figure of a chart: of the run that is seen, or of all runs. */
const figureOf = chart =>
  byId(`run${runShown()}-${chart}`) ??
  [...document.querySelectorAll('figure.chart')].find(({ id }) => id.replace(/^[^-]+-/, '') === chart);

/** Follows the address; a plain anchor is the browser's. */
export function followLink() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const run = wanted.get('run');
  if (run !== null && document.querySelector(`.run[data-run="${CSS.escape(run)}"]`)) showRun(run);
  const workflow = wanted.get('workflow');
  const chart = workflow === null ? wanted.get('chart') : (wanted.get('chart') ?? 'waterfall');
  const target = chart === null ? byId(wanted.get('block') ?? '') : figureOf(chart);
  if (workflow !== null && target && chartOf(target)?.choices) chooseById(target, workflow);
  if (!target) return;
  target.scrollIntoView();
  target.focus({ preventScroll: true });
}

function linkTo(figure) {
  const parts = new URLSearchParams();
  const run = figure.closest('[data-run]')?.dataset.run;
  if (run !== undefined && byId('run-select')) parts.set('run', run);
  const block = figure.closest('.block')?.id;
  if (block) parts.set('block', block);
  parts.set('chart', figure.id.replace(/^[^-]+-/, ''));
  if (figure.dataset.choice) parts.set('workflow', shownOf(figure).id);
  return `#${parts}`;
}

export async function copyLink(figure, button) {
  history.replaceState(null, '', linkTo(figure));
  let said = 'Copied';
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    said = 'In the address bar';
  }
  const before = button.textContent;
  button.textContent = said;
  setTimeout(() => (button.textContent = before), 1500);
}

export function selectRuns() {
  const select = byId('run-select');
  if (!select) return;
  showRun(select.value);
  select.addEventListener('change', () => {
    showRun(select.value);
    history.replaceState(null, '', `#run=${select.value}`);
  });
}

/** Marks the block in the list of contents that is being read: the last one that began near the top. */
export function markContents() {
  const links = [...document.querySelectorAll('.contents a')];
  const blocks = links.map(link => byId(link.getAttribute('href').slice(1)));
  const mark = () => {
    const begun = blocks.filter(block => block.getBoundingClientRect().top < innerHeight * 0.2);
    for (const [i, link] of links.entries()) {
      if (blocks[i] !== (begun.at(-1) ?? blocks[0])) link.removeAttribute('aria-current');
      else if (!link.hasAttribute('aria-current')) {
        link.setAttribute('aria-current', 'true');
        // On a phone the list is one line that scrolls.
        link.closest('ol').scrollLeft = link.offsetLeft - 24;
      }
    }
  };
  let waits = false;
  addEventListener(
    'scroll',
    () => {
      if (waits) return;
      waits = true;
      requestAnimationFrame(() => {
        waits = false;
        mark();
      });
    },
    { passive: true },
  );
  mark();
}
