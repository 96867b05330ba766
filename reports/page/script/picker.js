// A chart that shows one of many things: a list to pick from, and a field to search it.
import { chartOf, draw, views } from './draw.js';
import { fillTable } from './tables.js';

function choose(figure, index) {
  const { choices } = chartOf(figure);
  figure.dataset.choice = String(index);
  figure.querySelector('h3').textContent = choices[index].title;
  figure.querySelector('.picker select').value = String(index);
  fillTable(figure, true);
  if (views.has(figure)) draw(figure);
}

/** Fills the list with what the search leaves; what is shown stays as long as it is among them. */
export function listChoices(figure) {
  figure.dataset.listed = 'yes';
  const { choices } = chartOf(figure);
  const select = figure.querySelector('.picker select');
  const words = figure.querySelector('.picker input').value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = choices
    .map(({ label }, index) => ({ label, index }))
    .filter(({ label }) => words.every(word => label.toLowerCase().includes(word)));
  select.replaceChildren(
    ...found.map(({ label, index }) => {
      const option = document.createElement('option');
      option.value = String(index);
      option.textContent = label;
      return option;
    }),
  );
  figure.querySelector('.picker .note').textContent =
    words.length === 0 ? `${choices.length} to pick from` : `${found.length} of ${choices.length} match`;
  const shown = Number(figure.dataset.choice ?? 0);
  if (found.some(({ index }) => index === shown)) select.value = String(shown);
  else if (found.length > 0) choose(figure, found[0].index);
}

export function pickable(figure) {
  const select = figure.querySelector('.picker select');
  figure.querySelector('.picker input').addEventListener('input', () => listChoices(figure));
  select.addEventListener('change', () => choose(figure, Number(select.value)));
  figure.querySelector('.picker').addEventListener('click', event => {
    const step = Number(event.target.closest('[data-step]')?.dataset.step ?? 0);
    const next = select.selectedIndex + step;
    if (step !== 0 && next >= 0 && next < select.options.length)
      choose(figure, Number(select.options[next].value));
  });
}

/** Shows what is asked for by its id; false: it is not on this page. */
export function chooseById(figure, id) {
  const index = chartOf(figure).choices.findIndex(choice => choice.id === id);
  if (index < 0) {
    figure.querySelector('.picker .note').textContent =
      `${id} is not on this page: windtunnel report RUN --workflow ${id}`;
    return false;
  }
  figure.querySelector('.picker input').value = '';
  listChoices(figure);
  choose(figure, index);
  return true;
}
