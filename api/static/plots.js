// Draws charts from the data that a page carries. Without it the same numbers stand in a table below.
(() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const ink = (name) => { const probe = document.createElement('i'); probe.className = 'vh'; probe.style.color = `var(${name})`; document.body.append(probe); const color = getComputedStyle(probe).color; probe.remove(); return color; };
  const draw = (figure) => {
    const { kind, labels, data, unit } = JSON.parse(figure.dataset.plot);
    const colors = ['--chart-1', '--chart-2', '--chart-3', '--warn', '--ink-3'].map(ink);
    const axis = { stroke: ink('--ink-2'), grid: { stroke: ink('--chart-grid'), width: 1 }, ticks: { stroke: ink('--chart-grid') }, font: '11px ' + (css('--sans') || 'sans-serif') };
    const number = (v) => (v === null || v === undefined ? '–' : v.toLocaleString('en-US', { maximumFractionDigits: 1 }) + (unit ? ` ${unit}` : ''));
    const bars = kind === 'bars';
    const series = labels.map((label, n) => ({
      label, stroke: colors[n % colors.length], width: bars ? 0 : 1.75, fill: bars ? colors[n % colors.length] : undefined, points: { show: false },
      paths: bars ? uPlot.paths.bars({ size: [0.7, 48] }) : kind === 'steps' ? uPlot.paths.stepped({ align: 1 }) : undefined, value: (_, v) => number(v),
    }));
    const width = () => Math.max(figure.clientWidth, 200);
    const plot = new uPlot({
      width: width(), height: 190, padding: [8, 8, 0, 0], cursor: { y: false, drag: { setScale: false } }, legend: { live: true },
      scales: { x: { range: bars ? (_, lo, hi) => { const pad = data[0].length > 1 ? (hi - lo) / (data[0].length - 1) * 0.6 : 86400; return [lo - pad, hi + pad]; } : undefined }, y: { range: (_, lo, hi) => [Math.min(0, lo), Math.max(hi * 1.08, lo === hi ? hi + 1 : hi)] } },
      series: [{ label: '', value: '{YYYY}-{MM}-{DD}' }, ...series], axes: [axis, { ...axis, size: 56 }],
    }, data, figure);
    addEventListener('resize', () => plot.setSize({ width: width(), height: 190 }));
  };
  document.querySelectorAll('[data-plot]').forEach(draw);
})();
