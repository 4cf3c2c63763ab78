import { decimal, element, integer, milliseconds, percent } from './dom.js';
import { cut, tighten } from './text.js';

// problemCard shows an error with what to do about it.
export function problemCard(problem) {
  return element('div', { class: 'card problem', role: 'alert' },
    element('h3', {}, problem.title ?? 'Something went wrong on this page'),
    element('p', {}, problem.detail ?? String(problem)),
    element('p', { class: 'meta' }, [problem.code && `Code ${problem.code}`, problem.requestID && `request ${problem.requestID}`].filter(Boolean).join(', ')));
}

export function warningList(warnings) {
  if (!warnings?.length) return undefined;
  return element('ul', { class: 'note warnings', 'aria-label': 'Warnings' }, warnings.map((w) => element('li', {}, w)));
}

// origin returns the path that a document came from. The path of a file mostly
// ends with the document's id and says no more.
export function origin(source, id) {
  return source?.uri && !`/${source.uri}`.endsWith(`/${id}`) ? source.uri : undefined;
}

// place says where in a document something stands.
function place(item) {
  const parts = [];
  const headings = item.source.headings?.filter((heading) => heading !== item.title) ?? [];
  if (headings.length) parts.push(headings.join(' › '));
  if (item.source.page) parts.push(`page ${integer(item.source.page)}`);
  parts.push(`characters ${integer(item.start)} to ${integer(item.end)}`);
  const from = [item.title && item.title !== item.document_id && item.document_id, origin(item.source, item.document_id)].filter(Boolean);
  return element('p', { class: 'meta source' },
    element('b', {}, item.title || item.document_id), from.map((name) => ` · ${name}`), element('br'), parts.join(' · '));
}

const names = {
  bm25: 'BM25', vector: 'Vector', relevance: 'Relevance', span_logit: 'Span logit', null_logit: 'Null logit', fused: 'Fused',
};

function pairs(values, name, write) {
  return element('table', {}, element('tbody', {}, Object.entries(values).map(([key, value]) => element('tr', {},
    element('th', { scope: 'row' }, name(key)), element('td', { class: 'number' }, write(value))))));
}

function scores(values) {
  return element('details', {}, element('summary', {}, 'Scores'), pairs(values, (key) => names[key] ?? key, decimal));
}

// stages are in the order in which they happen; others come before them.
const stages = ['retrieve', 'rank', 'tokenize', 'infer', 'decode', 'total'];

export function timings(result) {
  const rows = Object.fromEntries(Object.entries(result.timings_ms).sort(([a], [b]) => stages.indexOf(a) - stages.indexOf(b)));
  const about = [`index ${result.index}, generation ${integer(result.generation)}`];
  if (result.model) about.push(`model ${result.model.name}${result.model.precision ? ` (${result.model.precision})` : ''}`);
  return element('details', { class: 'timings' }, element('summary', {}, 'Timings and model'),
    pairs(rows, (key) => key, milliseconds), element('p', { class: 'meta' }, about.join(' · ')));
}

// answerCard shows an answer in its context. The function open is called with
// the answer to show the document; verdict is what asks whether it is right.
export function answerCard(answer, calibrated, open, verdict) {
  const [before, inside, after] = cut(answer.context, answer.context_start, answer.context_end);
  const chance = `${percent(answer.probability)} likely to be right${calibrated ? '' : ' (a rough estimate)'}`;
  const more = { left: answer.start > answer.context_start ? '… ' : '', right: /[.!?]\s*$/.test(after || inside) ? '' : ' …' };
  return element('article', { class: 'card answer' },
    element('h3', { dir: 'auto' }, answer.text),
    element('div', { class: 'chance' },
      element('meter', { min: 0, max: 1, value: answer.probability, 'aria-hidden': 'true' }), element('span', {}, chance)),
    element('p', { class: 'context', dir: 'auto' }, more.left, tighten(before), element('mark', {}, tighten(inside)), tighten(after), more.right),
    place(answer),
    element('div', { class: 'foot' },
      element('button', { type: 'button', 'aria-label': `Open ${answer.title || answer.document_id} at the answer ${answer.text}`, click: () => open(answer) }, 'Open the document here'),
      scores(answer.scores)),
    verdict);
}

// hitCard shows a passage that a search found.
export function hitCard(hit, open) {
  return element('article', { class: 'card hit' },
    element('h3', { dir: 'auto' }, hit.title || hit.document_id),
    element('p', { class: 'context', dir: 'auto' }, tighten(hit.text)),
    place(hit),
    element('div', { class: 'foot' },
      element('button', { type: 'button', 'aria-label': `Open ${hit.title || hit.document_id} at this passage`, click: () => open(hit) }, 'Open the document here'),
      scores(hit.scores)));
}
