// A table as HTML.
import { type Html, html } from '../html.ts';

/** Scrolls by itself on a phone; the first column is text, the others are numbers. */
export function table(
  columns: readonly (string | Html)[],
  rows: readonly (readonly (string | Html)[])[],
): Html {
  return html`<div class="scroll" role="group" aria-label="Table"><table>
    <thead><tr>${columns.map(name => html`<th scope="col">${name}</th>`)}</tr></thead>
    <tbody>${rows.map(
      ([first, ...rest]) =>
        html`<tr><th scope="row">${first}</th>${rest.map(cell => html`<td>${cell}</td>`)}</tr>`,
    )}</tbody>
  </table></div>`;
}
