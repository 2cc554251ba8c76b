// Renews the parts of a page when the server says that what they show has changed. Without it, pages are
// read and forms are sent as they are.
'use strict';

(() => {
  const main = document.querySelector('main[data-live]');
  if (!main || !window.EventSource) return;
  const state = document.getElementById('live');
  const news = document.getElementById('news');
  const source = new EventSource('/live?' + main.dataset.live);
  let running = false;
  let again = false;

  const say = (text) => { if (state.textContent !== text) state.textContent = text; };

  // writing says whether somebody is writing in a part, which is then left as it is.
  const writing = (part) => [...part.querySelectorAll('input:not([type=hidden]), select, textarea')].includes(document.activeElement);

  const replace = (old, fresh) => {
    const open = [...old.querySelectorAll('details[open]')].map((d) => d.id);
    fresh.querySelectorAll('details').forEach((d) => { d.open = open.includes(d.id); });
    if (old.outerHTML === fresh.outerHTML || writing(old)) return;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const href = focused && focused.getAttribute('href');
    const id = focused && focused.id;
    old.replaceWith(fresh);
    if (focused) {
      const same = (id && document.getElementById(id)) || (href && fresh.querySelector('a[href="' + CSS.escape(href) + '"]'));
      (same || main).focus({ preventScroll: true });
    }
    if (fresh.dataset.news && fresh.dataset.news !== old.dataset.news) news.textContent = fresh.dataset.news;
  };

  const renew = async () => {
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { 'X-Forewarm-Live': '1' }, credentials: 'same-origin' });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) { say('Not renewed: the server answers ' + answer.status + '.'); return; }
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const parts = [...page.querySelectorAll('[data-part]')];
      const shown = [...document.querySelectorAll('[data-part]')];
      if (parts.map((p) => p.id).join() !== shown.map((p) => p.id).join()) { location.reload(); return; }
      parts.forEach((fresh, i) => replace(shown[i], document.importNode(fresh, true)));
      say('Live: this page renews itself.');
    } catch {
      say('Not live: the server does not answer.');
    } finally {
      running = false;
      if (again) { again = false; renew(); }
    }
  };

  let opened = false;
  source.addEventListener('open', () => {
    say('Live: this page renews itself.');
    if (opened) renew(); // what was missed meanwhile
    opened = true;
  });
  source.addEventListener('changed', renew);
  source.addEventListener('signedout', () => location.reload());
  source.addEventListener('error', () => say('Not live: the server does not answer.'));
})();
