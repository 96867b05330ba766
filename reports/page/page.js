// The report page's script: unpacks the Vega runtime and the charts, draws a chart when it comes into view, redraws
// for the theme and the width, and makes downloads. No request leaves the page, and no expression needs eval: Vega
// walks its expressions as trees.

(() => {
  const byId = id => document.getElementById(id);
  const TABLE_ROWS_MAX = 400;
  /** Panels stacked in one chart keep this much for their axes, px. */
  const AXES_PX = 48;

  async function unpack(id) {
    const packed = Uint8Array.from(atob(byId(id).textContent), character => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Response(stream).text();
  }

  function loadVega(source) {
    const script = document.createElement('script');
    script.textContent = source;
    document.head.append(script);
    return globalThis.vega;
  }

  // --- theme -------------------------------------------------------------------------------------------------

  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  };

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function theme() {
    const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
    const [ink, faint, line] = ['ink', 'faint', 'line'].map(colour);
    return {
      signals: { ink, faint, paper: colour('paper'), band: colour('band') },
      config: {
        font,
        axis: {
          labelColor: faint,
          titleColor: faint,
          titleFontWeight: 'normal',
          labelFont: font,
          titleFont: font,
          labelFontSize: 11,
          titleFontSize: 11,
          gridColor: line,
          domainColor: line,
          tickColor: line,
          labelPadding: 5,
        },
        text: { font },
        legend: {
          labelColor: ink,
          titleColor: ink,
          labelFont: font,
          labelFontSize: 11.5,
          offset: 10,
          columnPadding: 14,
        },
        title: { color: ink, font },
      },
    };
  }

  /** Blue lines are too dark for dark paper; the other colours carry over. */
  const DARK_SWAPS = { '#0072B2': '#2680cb' };

  // --- drawing -----------------------------------------------------------------------------------------------

  const views = new Map();

  /** A copy of the compiled spec with data, theme and width filled in. */
  function filled(chart, widthPx, { signals }) {
    let text = JSON.stringify(chart.vega);
    if (isDark()) for (const [light, dark] of Object.entries(DARK_SWAPS)) text = text.replaceAll(light, dark);
    const spec = JSON.parse(text);
    const data = structuredClone(chart.datasets);
    for (const source of spec.data) if (data[source.name]) source.values = data[source.name];
    for (const signal of spec.signals) {
      if (signal.name in signals) signal.value = signals[signal.name];
    }
    spec.width = spec.layout ? widthPx - AXES_PX : widthPx;
    spec.padding = { left: 0, top: 0, right: 0, bottom: 4 };
    return spec;
  }

  function showTooltip(_handler, event, _item, value) {
    const box = byId('tooltip');
    if (!value) {
      box.hidden = true;
      return;
    }
    const entries = Object.entries(typeof value === 'object' ? value : { '': value });
    box.replaceChildren(
      ...entries.flatMap(([name, shown]) => {
        const [key, cell] = [document.createElement('span'), document.createElement('b')];
        key.textContent = name;
        cell.textContent = String(shown);
        return [key, cell];
      }),
    );
    box.hidden = false;
    const { width, height } = box.getBoundingClientRect();
    const left = event.clientX + 14 + width > innerWidth ? event.clientX - width - 14 : event.clientX + 14;
    const top = event.clientY + 14 + height > innerHeight ? event.clientY - height - 14 : event.clientY + 14;
    box.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
  }

  function draw(figure, page) {
    const plot = figure.querySelector('.plot');
    const widthPx = Math.floor(plot.clientWidth);
    if (widthPx === 0) return;
    const kept = new Map();
    const before = views.get(figure);
    if (before) {
      for (const { name, bind } of page.charts[figure.dataset.chart].vega.signals) {
        if (bind) kept.set(name, before.view.signal(name));
      }
      before.view.finalize();
    }
    const look = theme();
    const spec = filled(page.charts[figure.dataset.chart], widthPx, look);
    for (const signal of spec.signals) if (kept.has(signal.name)) signal.value = kept.get(signal.name);
    plot.replaceChildren();
    const runtime = page.vega.parse(spec, look.config, { ast: true });
    const view = new page.vega.View(runtime, {
      expr: page.vega.expressionInterpreter,
      renderer: 'svg',
      container: plot,
      hover: true,
      tooltip: showTooltip,
      logLevel: page.vega.Warn,
    });
    view.run();
    views.set(figure, { view, widthPx });
    figure.dataset.drawn = 'yes';
  }

  // --- tables and downloads ----------------------------------------------------------------------------------

  const shown = value => {
    if (value === null) return '–';
    return typeof value === 'number' ? String(Number(value.toPrecision(6))) : value;
  };

  function fillTable(figure, { columns, rows }) {
    const place = figure.querySelector('.data .scroll');
    if (place.childElementCount > 0) return;
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
      for (const value of row) line.insertCell().textContent = shown(value);
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
      value === null ? '' : typeof value === 'string' ? value.replace(/^[=+@-]/, "'$&") : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  function save(blob, name) {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async function download(figure, kind, page) {
    const chart = page.charts[figure.dataset.chart];
    if (kind === 'csv') {
      const lines = [chart.columns, ...chart.rows].map(row => row.map(csvCell).join(','));
      save(new Blob([`${lines.join('\r\n')}\r\n`], { type: 'text/csv' }), `${chart.file}.csv`);
      return;
    }
    if (kind === 'spec') {
      const spec = JSON.stringify({ ...chart.vegaLite, datasets: chart.datasets }, null, 1);
      save(new Blob([spec], { type: 'application/json' }), `${chart.file}.vl.json`);
      return;
    }
    if (!views.has(figure)) draw(figure, page);
    const { view } = views.get(figure);
    const background = view.background();
    await view.background(colour('paper')).runAsync();
    if (kind === 'svg') save(new Blob([await view.toSVG()], { type: 'image/svg+xml' }), `${chart.file}.svg`);
    else (await view.toCanvas(2)).toBlob(blob => save(blob, `${chart.file}.png`));
    await view.background(background ?? null).runAsync();
  }

  // --- the page ----------------------------------------------------------------------------------------------

  function selectRuns() {
    const select = byId('run-select');
    const runs = [...document.querySelectorAll('section.run')];
    const show = index => {
      for (const run of runs) run.hidden = run.dataset.run !== index;
    };
    if (!select) return;
    const wanted = new URLSearchParams(location.hash.slice(1)).get('run');
    if (wanted !== null && runs.some(run => run.dataset.run === wanted)) select.value = wanted;
    show(select.value);
    select.addEventListener('change', () => {
      show(select.value);
      history.replaceState(null, '', `#run=${select.value}`);
    });
  }

  async function start() {
    selectRuns();
    const [vegaSource, charts] = await Promise.all([unpack('runtime'), unpack('payload').then(JSON.parse)]);
    const page = { vega: loadVega(vegaSource), charts };
    const figures = [...document.querySelectorAll('figure[data-chart]')];

    const nearby = new IntersectionObserver(
      entries => {
        for (const { target, isIntersecting } of entries) {
          if (isIntersecting && !views.has(target)) draw(target, page);
        }
      },
      { rootMargin: '400px' },
    );
    const resized = new ResizeObserver(entries => {
      for (const { target } of entries) {
        const figure = target.parentElement;
        const drawn = views.get(figure);
        if (drawn && target.clientWidth > 0 && Math.abs(drawn.widthPx - Math.floor(target.clientWidth)) > 1) {
          draw(figure, page);
        }
      }
    });
    for (const figure of figures) {
      nearby.observe(figure);
      resized.observe(figure.querySelector('.plot'));
      figure
        .querySelector('.data')
        .addEventListener('toggle', () => fillTable(figure, charts[figure.dataset.chart]));
      figure.querySelector('.downloads').addEventListener('click', event => {
        const kind = event.target.dataset.download;
        if (kind) download(figure, kind, page);
      });
    }

    const redraw = () => {
      for (const figure of views.keys()) draw(figure, page);
    };
    byId('theme').addEventListener('click', () => {
      document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
      redraw();
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
    // Paper is white, and has no scroll position: everything is drawn, light.
    let themeOnScreen = null;
    const { dataset } = document.documentElement;
    addEventListener('beforeprint', () => {
      themeOnScreen = dataset.theme ?? '';
      dataset.theme = 'light';
      for (const figure of figures) draw(figure, page);
    });
    addEventListener('afterprint', () => {
      if (themeOnScreen) dataset.theme = themeOnScreen;
      else delete dataset.theme;
      redraw();
    });
    addEventListener('scroll', () => (byId('tooltip').hidden = true), { passive: true });
    document.documentElement.dataset.ready = 'yes';
  }

  start().catch(error => {
    document.documentElement.dataset.failed = 'yes';
    for (const plot of document.querySelectorAll('.plot'))
      plot.textContent = `The charts could not be drawn: ${error.message}`;
    console.error(error);
  });
})();
