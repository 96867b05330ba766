// Brings the page to life: unpacks what it carries, draws a chart when it comes into view, redraws for theme, width and
// print.
import { byId, draw, isDark, loadVega, page, redrawAll, shownOf, tableRows, unpack, views } from './draw.js';
import { copyLink, followLink, markContents, selectRuns } from './links.js';
import { chooseById, pickable } from './picker.js';
import { download, fillTable } from './tables.js';
import { brushable } from './zoom.js';

function listenTo(figure) {
  figure.querySelector('.data').addEventListener('toggle', () => fillTable(figure));
  figure.querySelector('.downloads').addEventListener('click', event => {
    const { download: kind, link } = event.target.dataset;
    if (kind) download(figure, kind);
    else if (link !== undefined) copyLink(figure, event.target);
  });
  if (figure.querySelector('.picker')) pickable(figure);
  if (figure.querySelector('.zoom')) brushable(figure);
}

/** Paper is white and has no scroll position: everything is drawn, light, and short tables are open. */
function listenToPrint() {
  const PRINTED_ROWS_MAX = 30;
  const { dataset } = document.documentElement;
  let before = null;
  addEventListener('beforeprint', () => {
    before = { theme: dataset.theme ?? '', opened: [] };
    dataset.theme = 'light';
    for (const figure of figures) {
      draw(figure);
      const details = figure.querySelector('.data');
      if (details.open || tableRows(figure).length > PRINTED_ROWS_MAX) continue;
      details.open = true;
      fillTable(figure);
      before.opened.push(details);
    }
  });
  addEventListener('afterprint', () => {
    if (before?.theme) dataset.theme = before.theme;
    else delete dataset.theme;
    for (const details of before?.opened ?? []) details.open = false;
    redrawAll();
  });
}

let figures = [];

const nearby = new IntersectionObserver(
  entries => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !views.has(target)) draw(target);
    }
  },
  { rootMargin: '400px' },
);
const resized = new ResizeObserver(entries => {
  for (const { target } of entries) {
    const figure = target.parentElement;
    const drawn = views.get(figure);
    if (drawn && target.clientWidth > 0 && Math.abs(drawn.widthPx - Math.floor(target.clientWidth)) > 1) {
      draw(figure);
    }
  }
});

/** Takes the contents as they are; once more when a served page got new ones (reports/serve/live.js). */
async function takeContents(payload = unpack('payload')) {
  const chosen = figures
    .filter(({ dataset }) => dataset.choice)
    .map(figure => [figure.id, shownOf(figure).id]);
  Object.assign(page, JSON.parse(await payload));
  nearby.disconnect();
  resized.disconnect();
  for (const { view } of views.values()) view.finalize();
  views.clear();
  selectRuns();
  figures = [...document.querySelectorAll('figure[data-chart]')];
  for (const figure of figures) {
    listenTo(figure);
    nearby.observe(figure);
    resized.observe(figure.querySelector('.plot'));
    if (figure.querySelector('.data').open) fillTable(figure);
  }
  for (const [id, choice] of chosen) if (byId(id)?.dataset.chart) chooseById(byId(id), choice);
  markContents();
  markScrollable();
}

/** What scrolls can be scrolled by keyboard; what fits is no stop on the way. */
function markScrollable() {
  const fits = new ResizeObserver(entries => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1 || target.scrollHeight > target.clientHeight + 1)
        target.tabIndex = 0;
      else target.removeAttribute('tabindex');
    }
  });
  for (const place of document.querySelectorAll('.scroll')) fits.observe(place);
}

async function start() {
  const payload = unpack('payload');
  page.vega = loadVega(await unpack('runtime'));
  await takeContents(payload);
  listenToPrint();
  followLink();
  addEventListener('hashchange', followLink);
  byId('theme').addEventListener('click', () => {
    document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
    redrawAll();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawAll);
  addEventListener('scroll', () => (byId('tooltip').hidden = true), { passive: true });
  document.addEventListener('windtunnel:refresh', event => {
    event.preventDefault();
    event.detail.taken = takeContents();
  });
  document.documentElement.dataset.ready = 'yes';
}

start().catch(error => {
  document.documentElement.dataset.failed = 'yes';
  for (const plot of document.querySelectorAll('.plot'))
    plot.textContent = `The charts could not be drawn: ${error.message}`;
  console.error(error);
});
