// The numbers of a chart as a table and as files.
import { chartOf, colour, datasetsOf, draw, tableRows, views, whole } from './draw.js';

const TABLE_ROWS_MAX = 400;

const shownCell = value => {
  if (value === null) return '–';
  return typeof value === 'number' ? String(Number(value.toPrecision(6))) : value;
};

/** Fills the table if it is to be seen; `isStale` where something else is shown than before. */
export function fillTable(figure, isStale = false) {
  const details = figure.querySelector('.data');
  const place = details.querySelector('.scroll');
  if (isStale) {
    place.replaceChildren();
    details.querySelector('.note')?.remove();
  }
  if (!details.open || place.childElementCount > 0) return;
  const { columns } = chartOf(figure);
  const rows = tableRows(figure);
  const table = document.createElement('table');
  const head = table.createTHead().insertRow();
  for (const name of columns) {
    const cell = document.createElement('th');
    cell.scope = 'col';
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows.slice(0, TABLE_ROWS_MAX)) {
    const line = body.insertRow();
    for (const value of row) line.insertCell().textContent = shownCell(value);
  }
  place.append(table);
  if (rows.length > TABLE_ROWS_MAX) {
    const note = document.createElement('p');
    note.className = 'note';
    note.textContent = `The first ${TABLE_ROWS_MAX} of ${rows.length} rows; the CSV has all.`;
    place.after(note);
  }
}

// A cell that a spreadsheet would run as a formula is quoted with an apostrophe.
const csvCell = value => {
  const text =
    value === null ? '' : typeof value === 'string' ? value.replace(/^[=+@\-\t\r]/, "'$&") : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export async function download(figure, kind) {
  const chart = chartOf(figure);
  if (kind === 'csv') {
    const lines = [chart.columns, ...tableRows(figure)].map(row => row.map(csvCell).join(','));
    save(new Blob([`${lines.join('\r\n')}\r\n`], { type: 'text/csv' }), `${figure.id}.csv`);
    return;
  }
  if (kind === 'spec') {
    const spec = JSON.stringify({ ...whole(chart.vegaLite), datasets: datasetsOf(figure) }, null, 1);
    save(new Blob([spec], { type: 'application/json' }), `${figure.id}.vl.json`);
    return;
  }
  if (!views.has(figure)) draw(figure);
  const { view } = views.get(figure);
  const background = view.background();
  await view.background(colour('paper')).runAsync();
  if (kind === 'svg') save(new Blob([await view.toSVG()], { type: 'image/svg+xml' }), `${figure.id}.svg`);
  else (await view.toCanvas(2)).toBlob(blob => save(blob, `${figure.id}.png`));
  await view.background(background ?? null).runAsync();
}
