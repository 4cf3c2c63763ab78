// How the server does: latency, throughput, caches and freshness, from its own
// metrics. Plots begin when the panel is opened; nothing is stored.
import { metrics } from './api.js';
import { byID, bytes, decimal, element, integer, milliseconds, percent, svg } from './dom.js';

const every = 2000; // ms between two looks
const kept = 150; // looks that the plots show: five minutes
const span = 15; // looks that a rate or quantile is taken over: half a minute
const operations = ['ask', 'search', 'read', 'rerank'];

let timer;
let looks = [];

// parse returns the series of a text in Prometheus's format by name.
export function parse(text) {
  const series = new Map();
  for (const line of text.split('\n')) {
    const found = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!found || line.startsWith('#')) continue;
    const labels = Object.fromEntries([...(found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, value]) => [key, value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))]));
    if (!series.has(found[1])) series.set(found[1], []);
    series.get(found[1]).push({ labels, value: Number(found[3]) });
  }
  return series;
}

const total = (look, name, want = () => true) => (look.get(name) ?? []).filter((s) => want(s.labels)).reduce((sum, s) => sum + s.value, 0);

// quantile returns the q-quantile of a histogram between two looks in seconds,
// interpolated inside its bucket as Prometheus does; NaN if nothing happened.
export function quantile(q, before, now, name, want) {
  const buckets = new Map();
  for (const [look, sign] of [[now, 1], [before, -1]]) {
    for (const s of look?.get(`${name}_bucket`) ?? []) {
      if (!want(s.labels)) continue;
      const bound = s.labels.le === '+Inf' ? Infinity : Number(s.labels.le);
      buckets.set(bound, (buckets.get(bound) ?? 0) + sign * s.value);
    }
  }
  const bounds = [...buckets.keys()].sort((a, b) => a - b);
  const all = buckets.get(Infinity) ?? 0;
  if (all <= 0) return NaN;
  let [low, below] = [0, 0];
  for (const bound of bounds) {
    const count = buckets.get(bound);
    if (count >= q * all) return bound === Infinity ? low : low + (bound - low) * (q * all - below) / Math.max(count - below, 1e-9);
    [low, below] = [bound, count];
  }
  return low;
}

const ask = (labels) => labels.operation === 'ask' && labels.outcome === 'ok';
const asked = (labels) => operations.includes(labels.operation);

// rate returns how much a counter grew a second between two looks.
const rate = (before, now, name, want) => Math.max(0, total(now.series, name, want) - total(before.series, name, want)) * 1000 / Math.max(now.at - before.at, 1);

const plots = [
  { title: 'Requests a second', of: (b, n) => rate(b, n, 'needle_operation_duration_seconds_count', asked), write: decimal },
  { title: 'Time of a question, median', of: (b, n) => 1000 * quantile(0.5, b.series, n.series, 'needle_operation_duration_seconds', ask), write: milliseconds },
  { title: 'Time of a question, 95 %', of: (b, n) => 1000 * quantile(0.95, b.series, n.series, 'needle_operation_duration_seconds', ask), write: milliseconds },
  { title: 'Requests at the model', of: (b, n) => total(n.series, 'needle_queue_requests'), write: integer },
  {
    title: 'Found in the caches', write: percent, top: 1,
    of: (b, n) => {
      const [hits, misses] = ['hits', 'misses'].map((what) => rate(b, n, `needle_cache_${what}_total`));
      return hits + misses ? hits / (hits + misses) : NaN;
    },
  },
  { title: 'Processor, cores', of: (b, n) => rate(b, n, 'process_cpu_seconds_total'), write: decimal },
  { title: 'Memory', of: (b, n) => total(n.series, 'process_resident_memory_bytes'), write: bytes },
];

// draw makes the curve of values, oldest first; gaps are NaN.
function draw(values, top) {
  const [width, height] = [240, 56];
  const highest = Math.max(top ?? 0, ...values.filter(Number.isFinite)) || 1;
  let path = '';
  let pen = false;
  values.forEach((value, i) => {
    if (!Number.isFinite(value)) {
      pen = false;
      return;
    }
    const x = width - (values.length - 1 - i) * width / (kept - 1);
    path += `${pen ? 'L' : 'M'}${x.toFixed(1)} ${(height - 3 - value / highest * (height - 6)).toFixed(1)}`;
    pen = true;
  });
  return svg('svg', { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true', preserveAspectRatio: 'none' },
    svg('path', { d: `M0 ${height - 1}H${width}`, class: 'axis' }), svg('path', { d: path, class: 'curve' }));
}

function plot({ title, of, write, top }) {
  const values = looks.map((now, i) => (i ? of(looks[Math.max(0, i - span)], now) : NaN));
  const last = values.findLast(Number.isFinite);
  const now = Number.isFinite(values.at(-1)) ? write(values.at(-1)) : '–';
  const most = Number.isFinite(last) ? `highest ${write(Math.max(...values.filter(Number.isFinite)))}` : 'nothing yet';
  return element('figure', { class: 'card plot' }, element('figcaption', {}, title), element('b', { class: 'value' }, now), draw(values, top), element('span', { class: 'meta' }, most));
}

const ago = (seconds, now) => {
  if (!seconds) return 'never';
  const s = Math.max(0, now / 1000 - seconds);
  if (s < 90) return `${integer(s)} s ago`;
  if (s < 5400) return `${integer(s / 60)} min ago`;
  if (s < 129600) return `${integer(s / 3600)} h ago`;
  return `${integer(s / 86400)} days ago`;
};

function table(title, heads, rows) {
  if (!rows.length) return undefined;
  return element('div', { class: 'card scroll' }, element('h2', {}, title), element('table', {},
    element('thead', {}, element('tr', {}, heads.map((head, i) => element('th', { scope: 'col', class: i > 0 && 'number' }, head)))),
    element('tbody', {}, rows.map(([first, ...rest]) => element('tr', {}, element('th', { scope: 'row' }, first), rest.map((cell) => element('td', { class: 'number' }, cell)))))));
}

function tables(look) {
  const { series, at } = look;
  const by = (name, ...keys) => new Map((series.get(name) ?? []).map((s) => [keys.map((k) => s.labels[k]).join('\n'), s]));
  const stages = [...new Set((series.get('needle_stage_duration_seconds_count') ?? []).filter((s) => s.value).map((s) => s.labels.stage))];
  const empty = new Map();
  const ms = (seconds) => (Number.isFinite(seconds) ? milliseconds(1000 * seconds) : '–');
  const success = by('needle_source_last_success_timestamp_seconds', 'index', 'source');
  const change = by('needle_source_last_change_timestamp_seconds', 'index', 'source');
  const failing = by('needle_source_failing', 'index', 'source');
  const passages = by('needle_index_passages', 'index');
  const generation = by('needle_index_generation', 'index');
  const size = by('needle_index_disk_bytes', 'index');
  const misses = by('needle_cache_misses_total', 'cache');
  const held = by('needle_cache_bytes', 'cache');
  const score = by('needle_canary_score', 'index');
  const ran = by('needle_canary_last_run_timestamp_seconds', 'index');
  return [
    table('Sources', ['Index: source', 'Last complete', 'Last change', 'State'], [...success].map(([key, s]) => [`${s.labels.index}: ${s.labels.source}`,
      ago(s.value, at), ago(change.get(key)?.value, at), failing.get(key)?.value ? 'the last sync failed' : 'fresh'])),
    table('Canaries', ['Index', 'State', 'Score', 'Asked'], (series.get('needle_canary_healthy') ?? []).map((s) => [s.labels.index,
      s.value ? 'healthy' : 'ALARM', decimal(score.get(s.labels.index)?.value ?? NaN), ago(ran.get(s.labels.index)?.value, at)])),
    table('Indexes', ['Index', 'Documents', 'Passages', 'Size', 'Generation'], (series.get('needle_index_documents') ?? []).map((s) => [s.labels.index,
      integer(s.value), integer(passages.get(s.labels.index)?.value ?? 0), bytes(size.get(s.labels.index)?.value ?? 0), integer(generation.get(s.labels.index)?.value ?? 0)])),
    table('Stages since the start', ['Stage', 'Times', 'Median', '95 %'], stages.map((stage) => {
      const mine = (labels) => labels.stage === stage;
      return [stage, integer(total(series, 'needle_stage_duration_seconds_count', mine)), ms(quantile(0.5, empty, series, 'needle_stage_duration_seconds', mine)),
        ms(quantile(0.95, empty, series, 'needle_stage_duration_seconds', mine))];
    })),
    table('Caches since the start', ['Cache', 'Found', 'Lookups', 'Memory'], (series.get('needle_cache_hits_total') ?? []).map((s) => {
      const lookups = s.value + (misses.get(s.labels.cache)?.value ?? 0);
      return [s.labels.cache, lookups ? percent(s.value / lookups) : '–', integer(lookups), bytes(held.get(s.labels.cache)?.value ?? 0)];
    })),
  ].filter(Boolean);
}

async function look() {
  const note = byID('status-note');
  try {
    const series = parse(await metrics());
    looks.push({ at: Date.now(), series });
    looks = looks.slice(-kept);
    const model = series.get('needle_model_info')?.[0]?.labels;
    note.textContent = [model ? `Model ${model.name} (${model.precision}).` : 'No model reads.', 'Curves show the last five minutes, rates and quantiles of half a minute.'].join(' ');
    byID('status-plots').replaceChildren(...plots.map(plot));
    // A table that is being read with the keyboard or a screen reader keeps its place.
    if (!byID('status-tables').contains(document.activeElement)) byID('status-tables').replaceChildren(...tables(looks.at(-1)));
  } catch (problem) {
    note.textContent = { 401: 'The status needs an API key.', 403: 'The status needs a key with the role monitor or admin.', 404: 'Metrics are switched off (telemetry.metrics).' }[problem.status] ?? `${problem.title ?? problem}`;
  }
}

export function showStatus() {
  hideStatus();
  look();
  timer = setInterval(() => document.hidden || look(), every);
}

export function hideStatus() {
  clearInterval(timer);
}
