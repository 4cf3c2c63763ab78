import { call } from './api.js';
import { byID, bytes, element, integer, plural } from './dom.js';
import { problemCard } from './results.js';
import { openDocument } from './viewer.js';

const number = (n) => element('td', { class: 'number' }, integer(n));

// loadIndexes fills the choice of an index and returns what there is. An index
// that was chosen stays chosen, else the server's configured one is.
export async function loadIndexes() {
  const select = byID('index');
  const { indexes } = await call('GET', '/v1/indexes');
  let chosen = select.value;
  if (!indexes.some((index) => index.name === chosen)) {
    // That the configured index is missing is no error here.
    const standard = await call('GET', '/v1/indexes/_default').catch(() => undefined);
    chosen = standard?.name ?? indexes[0]?.name ?? '';
  }
  select.replaceChildren(...(indexes.length ? indexes.map((index) => element('option', { value: index.name, selected: index.name === chosen }, index.name))
    : [element('option', { value: '' }, 'none yet')]));
  return indexes;
}

export async function showIndexes() {
  const list = byID('index-list');
  const documents = byID('document-list');
  documents.replaceChildren();
  let indexes;
  try {
    indexes = await loadIndexes();
  } catch (problem) {
    list.replaceChildren(problemCard(problem));
    return;
  }
  if (!indexes.length) {
    list.replaceChildren(element('p', { class: 'card' }, 'There is no index yet. The first document that you add makes one.'));
    return;
  }
  list.replaceChildren(element('div', { class: 'card scroll' }, element('h2', {}, 'Indexes'), element('table', {},
    element('thead', {}, element('tr', {}, ['Name', 'Documents', 'Passages', 'Size', 'Generation', 'Analyzer'].map((name, i) => element('th', { scope: 'col', class: i > 0 && i < 5 && 'number' }, name)))),
    element('tbody', {}, indexes.map((index) => element('tr', {},
      element('th', { scope: 'row' }, element('button', { type: 'button', class: 'link', 'aria-label': `Documents of ${index.name}`, click: () => showDocuments(index.name) }, index.name)),
      number(index.documents), number(index.passages), element('td', { class: 'number' }, bytes(index.bytes)), number(index.generation), element('td', {}, index.analyzer)))))));
}

async function showDocuments(index) {
  const area = byID('document-list');
  const rows = element('tbody');
  const status = element('p', { class: 'meta', role: 'status' });
  const more = element('button', { type: 'button', hidden: true }, 'More documents');
  const heading = element('h2', { tabindex: '-1' }, `Documents of ${index}`);
  area.replaceChildren(element('div', { class: 'card' }, heading, element('div', { class: 'scroll' }, element('table', {},
    element('thead', {}, element('tr', {}, element('th', { scope: 'col' }, 'Document'), element('th', { scope: 'col', class: 'number' }, 'Passages'), element('th', { scope: 'col', class: 'number' }, 'Characters'))), rows)), status, more));
  let after = '';
  const page = async () => {
    try {
      const answer = await call('GET', `/v1/indexes/${encodeURIComponent(index)}/documents?limit=100${after && `&after=${encodeURIComponent(after)}`}`);
      rows.append(...answer.documents.map((info) => element('tr', {},
        element('th', { scope: 'row' }, element('button', { type: 'button', class: 'link', click: () => openDocument(index, info.id) }, info.title || info.id),
          info.title && info.title !== info.id ? element('div', { class: 'meta' }, info.id) : ''),
        number(info.passages), number(info.length))));
      after = answer.next ?? '';
      more.hidden = after === '';
      status.textContent = `${plural(rows.children.length, 'document', 'documents')} shown.`;
    } catch (problem) {
      status.replaceChildren(problemCard(problem));
    }
  };
  more.addEventListener('click', page);
  await page();
  heading.focus();
}
