// Added to a page that is served while its run goes on: takes new versions of it as the server makes them, and puts them in
// place of what is shown. What the reader has opened stays open, and the page stays where it is.

(() => {
  /** What changes; the style, the scripts and Vega stay. */
  const PARTS = ['.layout', 'body > footer', '#summary', '#payload'];
  const state = document.createElement('span');
  state.className = 'live';
  state.setAttribute('role', 'status');
  document.querySelector('header.bar .bar-title')?.after(state);
  const say = text => {
    state.textContent = text;
  };

  /** Names that survive: of the nearest element with an id, and the place in it. */
  const openDetails = () =>
    [...document.querySelectorAll('main [id]')].flatMap(owner =>
      [...owner.querySelectorAll('details')].flatMap((details, i) =>
        details.open && details.closest('[id]') === owner ? [[owner.id, i]] : [],
      ),
    );

  async function take(text) {
    const fresh = new DOMParser().parseFromString(text, 'text/html');
    const opened = openDetails();
    const top = scrollY;
    // Charts are drawn after this: their places keep their heights until then.
    for (const plot of document.querySelectorAll('figure[id] .plot')) {
      const same = fresh.getElementById(plot.closest('figure').id)?.querySelector('.plot');
      if (same) same.style.minHeight = `${plot.offsetHeight}px`;
    }
    document.title = fresh.title;
    for (const part of PARTS) {
      const [old, other] = [document.querySelector(part), fresh.querySelector(part)];
      if (old && other) old.replaceWith(document.adoptNode(other));
    }
    for (const [id, i] of opened) {
      const details = document.getElementById(id)?.querySelectorAll('details')[i];
      if (details) details.open = true;
    }
    scrollTo({ top, behavior: 'instant' });
    // The page's own script draws it; one that does not know how is loaded again.
    const event = new CustomEvent('windtunnel:refresh', { cancelable: true, detail: {} });
    if (document.dispatchEvent(event)) location.reload();
    await event.detail.taken;
    for (const plot of document.querySelectorAll('.plot')) plot.style.minHeight = '';
  }

  const source = new EventSource(`live?version=${document.documentElement.dataset.version}`);
  say('● live');
  // One after the other.
  let taken = Promise.resolve();
  source.addEventListener('page', event => {
    taken = taken.then(async () => {
      await take(JSON.parse(event.data));
      document.documentElement.dataset.version = event.lastEventId;
      say(`● live, ${new Date().toLocaleTimeString()}`);
    });
  });
  source.addEventListener('end', () => {
    source.close();
    taken = taken.then(() => {
      document.documentElement.dataset.ended = 'yes';
      say('the run has ended');
    });
  });
  source.addEventListener('error', () => say('○ the run is not there any more; this is its last state'));
})();
