import { call, documentPath, upload } from './api.js';
import { byID, element, plural } from './dom.js';
import { loadIndexes } from './indexes.js';
import { problemCard } from './results.js';
import { openDocument } from './viewer.js';

const done = { created: 'added', updated: 'replaced', unchanged: 'already there, unchanged' };

// store sends one document and adds a line to the log. It says whether the
// document is stored.
async function store(name, make) {
  const index = byID('index').value;
  const log = byID('add-results');
  try {
    const { id, ...body } = await make();
    const result = await call('PUT', documentPath(index, id), body);
    log.prepend(element('li', { class: 'card' }, element('p', {}, element('b', {}, name), `: ${done[result.status] ?? result.status}, ${plural(result.passages, 'passage', 'passages')}. `,
      element('button', { type: 'button', class: 'link', 'aria-label': `Open ${name}`, click: () => openDocument(index, result.id) }, 'Open'))));
    return true;
  } catch (problem) {
    log.prepend(element('li', {}, element('b', {}, name), problemCard(problem)));
    return false;
  }
}

// sendFile has the server process one file and adds what came of it to the log.
// It says whether anything is stored.
async function sendFile(file, progress) {
  const index = byID('index').value;
  const log = byID('add-results');
  try {
    const result = await upload(index, file, progress);
    const lines = result.documents.slice(0, mostLines).map((d) => element('p', {}, element('b', {}, d.id), `: ${done[d.status] ?? d.status}, ${plural(d.passages, 'passage', 'passages')}. `,
      element('button', { type: 'button', class: 'link', 'aria-label': `Open ${d.id}`, click: () => openDocument(index, d.id) }, 'Open')));
    const more = result.documents.length - lines.length;
    if (more > 0) lines.push(element('p', {}, `… and ${plural(more, 'document', 'documents')} more.`));
    const faults = result.faults.slice(0, mostLines).map((f) => element('p', { class: 'fault' }, element('b', {}, f.path ?? file.name), `: ${f.skipped ? 'left out' : 'not taken'}: ${f.reason}`));
    log.prepend(element('li', { class: 'card' }, ...lines, ...faults));
    return result.documents.length > 0;
  } catch (problem) {
    log.prepend(element('li', {}, element('b', {}, file.name), problemCard(problem)));
    return false;
  }
}

const mostLines = 50; // of one file in the log

export async function addFiles(files) {
  const progress = byID('add-progress');
  const status = byID('add-status');
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  progress.max = total;
  progress.value = 0;
  progress.hidden = false;
  let [stored, before, number] = [0, 0, 0];
  for (const file of files) {
    const what = `${file.name}, ${++number} of ${files.length}`;
    status.textContent = `Sending ${what}…`;
    const sent = (part) => {
      progress.value = before + part * file.size;
      status.textContent = part < 1 ? `Sending ${what}: ${Math.round(100 * part)} %…` : `Reading ${what}…`;
    };
    if (await sendFile(file, sent)) stored++;
    before += file.size;
    progress.value = before;
  }
  progress.hidden = true;
  status.textContent = `${stored} of ${plural(files.length, 'file', 'files')} stored.`;
  await loadIndexes().catch(() => undefined); // the list is refreshed when it is opened
}

async function addText(event) {
  event.preventDefault();
  const title = byID('add-title').value.trim();
  const text = byID('add-text').value;
  const id = byID('add-id').value.trim() || (title || `pasted ${new Date().toISOString()}`).toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '') || 'pasted';
  const status = byID('add-status');
  status.textContent = 'Adding the text…';
  const stored = await store(title || id, () => ({ id, ...(title && { title }), text }));
  status.textContent = stored ? 'The text is stored and can be asked about.' : 'The text was not stored.';
  if (stored) event.target.reset();
  await loadIndexes().catch(() => undefined);
}

// setUpAdd takes files and pasted texts. The function show brings the panel to
// the front when a file is dropped elsewhere on the page.
export function setUpAdd(show) {
  const drop = byID('drop');
  const input = byID('files');
  byID('add-form').addEventListener('submit', addText);
  input.addEventListener('change', async () => {
    const files = [...input.files];
    input.value = '';
    if (files.length) await addFiles(files);
  });
  const carriesFiles = (event) => event.dataTransfer?.types.includes('Files');
  window.addEventListener('dragover', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // else the browser would leave the page for the file
    drop.classList.add('over');
  });
  window.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) drop.classList.remove('over');
  });
  window.addEventListener('drop', async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drop.classList.remove('over');
    const files = [...event.dataTransfer.files];
    show();
    if (files.length) await addFiles(files);
  });
}
