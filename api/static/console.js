// Keys, clocks and news. The pages work without it.
(() => {
  const $ = (selector) => document.querySelector(selector);
  const rows = () => [...document.querySelectorAll('.case-row[data-href]')];
  const typing = (target) => /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && target.type !== 'checkbox';
  const GO = { a: '/', m: '/?mine=1', z: '/?snoozed=1', f: '/figures', j: '/journal', p: '/policy', o: '/fulfilment', b: '/purchasing', e: '/order-entry' };
  let at = null; // the id of the row in focus: rows come and go, the focus stays on its case

  const focusRow = (row) => {
    if (!row) return;
    at = row.id;
    rows().forEach((one) => one.classList.toggle('focus', one === row));
    row.querySelector('a')?.focus({ preventScroll: true });
    row.scrollIntoView({ block: 'nearest' });
  };
  const here = () => rows().findIndex((row) => row.id === at);
  const focused = () => rows()[here()];
  const picks = () => [...document.querySelectorAll('input[name=pick]:checked')];

  // selection
  const bulk = $('#bulk');
  const count = () => {
    if (!bulk) return;
    bulk.hidden = !picks().length;
    bulk.querySelector('[data-count]').textContent = `${picks().length} selected`;
    rows().forEach((row) => row.classList.toggle('picked', Boolean(row.querySelector('input[name=pick]:checked'))));
  };
  document.addEventListener('change', (event) => {
    if (event.target.name === 'pick') count();
    if (event.target.closest('[data-filters]')) event.target.form.requestSubmit();
    // a reason changes nothing of what is tried, and the page must not move under the click that follows it
    if (event.target.name !== 'reason') event.target.closest('[data-live]')?.dispatchEvent(new Event('edited'));
  });
  const act = (verb) => {
    const box = focused()?.querySelector('input[name=pick]');
    if (!picks().length && box) box.checked = true;
    count();
    const button = bulk?.querySelector(`[value=${verb}]`);
    if (!picks().length || !button) return;
    const to = $('#give-to');
    if (verb === 'give' && !to.value) to.focus();
    else button.click();
  };
  const ROW_KEYS = { c: () => act('take'), i: () => act('give'), s: () => act('snooze'), x: () => focused()?.querySelector('input[name=pick]')?.click() };

  let went = 0;
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') { document.activeElement?.blur(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const { key } = event;
    if (Date.now() - went < 1200) { went = 0; if (GO[key]) { location.href = GO[key]; return; } }
    if (key === 'g') { went = Date.now(); return; }
    if (key === '?') { event.preventDefault(); $('#keys')?.showModal(); return; }
    if (key === '/') { event.preventDefault(); $('#q')?.focus(); return; }
    if (key === 'j') return focusRow(rows()[Math.min(here() + 1, rows().length - 1)]);
    if (key === 'k') return focusRow(rows()[Math.max(here() - 1, 0)]);
    if (key === 'Enter' && focused() && !event.target.closest('button, a, summary, input')) { location.href = focused().dataset.href; return; }
    if (rows().length && ROW_KEYS[key] && !$(`[data-key="${CSS.escape(key)}"]`)) { event.preventDefault(); ROW_KEYS[key](); return; }
    if (key === 'a' && focused()) { location.href = focused().dataset.href; return; } // what is signed is seen first
    const target = $(`[data-key="${CSS.escape(key)}"]`);
    if (!target || target.disabled) return;
    event.preventDefault();
    const reason = $('#reason');
    if (['reject', 'instruct', 'escalate'].includes(target.value) && reason && !reason.value.trim()) { reason.placeholder = 'Say why, or what to do, then press it again'; reason.focus(); return; }
    target.click();
  });

  document.addEventListener('click', (event) => {
    const opener = event.target.closest('[data-open]');
    if (opener) {
      const panel = document.getElementById(opener.dataset.open);
      panel.open = true;
      panel.scrollIntoView({ block: 'nearest' });
      panel.querySelector('input:not([type=hidden]), textarea, select')?.focus();
      return;
    }
    if (event.target.closest('[data-help]')) { $('#keys').showModal(); return; }
    if (event.target.closest('[data-close]')) event.target.closest('dialog').close();
    const row = event.target.closest('.case-row[data-href]');
    if (row && !event.target.closest('a, button, input') && !String(getSelection())) location.href = row.dataset.href;
  });

  // evidence: a number lights its source, and the other way round
  const light = (on) => (event) => {
    const number = event.target.closest?.('[data-ev]')?.dataset.ev;
    if (number) document.querySelectorAll(`[data-ev="${CSS.escape(number)}"]`).forEach((one) => one.classList.toggle('lit', on));
  };
  for (const [kind, on] of [['mouseover', true], ['focusin', true], ['mouseout', false], ['focusout', false]]) document.addEventListener(kind, light(on));

  // one click, one decision: the server would answer a second one the same, but nobody should wonder
  document.addEventListener('submit', (event) => {
    if (event.target.id !== 'decide') return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = 'yes';
  });

  // clocks: due times run between two loads; the installation's clock is the page's, not the browser's
  const offset = document.body.dataset.now ? Date.parse(document.body.dataset.now) - Date.now() : 0;
  const tick = () => {
    const now = Date.now() + offset;
    document.querySelectorAll('[data-due]').forEach((one) => {
      const left = Math.trunc((Date.parse(one.dataset.due) - now) / 60000);
      const size = Math.abs(left);
      const text = size < 2880 ? `${Math.floor(size / 60)}:${String(size % 60).padStart(2, '0')}` : `${Math.floor(size / 1440)} days`;
      one.querySelector('b').textContent = left < 0 ? `−${text}` : text;
      one.classList.toggle('sla--over', left < 0);
      one.classList.toggle('sla--soon', left >= 0 && left < 120);
    });
  };
  setInterval(tick, 15000);

  // news: what changed, the page asks for itself; the focus and what is ticked stay where they are
  const dot = $('[data-news]');
  if (dot && window.EventSource) {
    const source = new EventSource(dot.dataset.news);
    const state = (ok) => { dot.querySelector('.dot').classList.toggle('dot--ok', ok); dot.querySelector('.dot').classList.toggle('dot--warn', !ok); dot.title = ok ? 'Live' : 'Not live; trying again'; };
    source.onopen = () => state(true);
    source.onerror = () => state(false);
    source.addEventListener('changed', () => document.querySelectorAll('#cases, #rail-lists, #fresh').forEach((one) => one.dispatchEvent(new Event('news'))));
    addEventListener('pagehide', () => source.close());
  }
  let ticked = [];
  document.addEventListener('htmx:before:swap', () => { ticked = picks().map((one) => one.value); });
  document.addEventListener('htmx:after:swap', () => {
    ticked.forEach((value) => { const box = $(`input[name=pick][value="${CSS.escape(value)}"]`); if (box) box.checked = true; });
    focused()?.classList.add('focus');
    if ($('#fresh [data-stale]')) document.querySelectorAll('#decide [name=verdict], #amend [type=submit]').forEach((one) => { one.disabled = true; });
    count();
    tick();
  });
  count();
})();
