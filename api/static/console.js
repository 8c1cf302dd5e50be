// Keys and clickable rows. The pages work without it.
(() => {
  const rows = () => [...document.querySelectorAll('.case-row[data-href]')];
  let at = -1;
  const focusRow = (next) => {
    const all = rows();
    if (!all.length) return;
    at = Math.max(0, Math.min(all.length - 1, next));
    all.forEach((row, i) => row.classList.toggle('focus', i === at));
    all[at].scrollIntoView({ block: 'nearest' });
  };
  const typing = (event) => /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    if (event.key === '/') { event.preventDefault(); document.getElementById('q')?.focus(); return; }
    if (event.key === 'j') return focusRow(at + 1);
    if (event.key === 'k') return focusRow(at - 1);
    if (event.key === 'Enter' && at >= 0 && rows()[at]) { location.href = rows()[at].dataset.href; return; }
    const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!target || target.disabled) return;
    event.preventDefault();
    const needsReason = ['reject', 'instruct', 'escalate'].includes(target.value);
    const reason = document.getElementById('reason');
    if (needsReason && reason && !reason.value.trim()) { reason.focus(); return; }
    target.click();
  });

  document.addEventListener('click', (event) => {
    const opener = event.target.closest('[data-open]');
    if (opener) {
      const panel = document.getElementById(opener.dataset.open);
      panel.open = true;
      panel.scrollIntoView({ block: 'nearest' });
      panel.querySelector('textarea')?.focus();
      return;
    }
    const row = event.target.closest('.case-row[data-href]');
    if (row && !event.target.closest('a, button, input') && !String(getSelection())) location.href = row.dataset.href;
  });

  // one click, one decision: the server would answer a second one the same, but nobody should wonder
  document.addEventListener('submit', (event) => {
    if (event.target.id !== 'decide') return;
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    event.target.dataset.sent = 'yes';
  });
})();
