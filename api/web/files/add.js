import { call, documentPath } from './api.js';
import { byID, bytes, element, plural } from './dom.js';
import { loadIndexes } from './indexes.js';
import { problemCard } from './results.js';
import { openDocument } from './viewer.js';

const mediaTypes = { txt: 'text/plain', text: 'text/plain', md: 'text/markdown', markdown: 'text/markdown' };
const mostBytes = 64 << 20;

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

async function fromFile(file) {
  const type = mediaTypes[file.name.split('.').pop().toLowerCase()];
  if (!type) throw { title: 'This is no text or Markdown file', detail: 'Files that end in .txt, .text, .md or .markdown can be added here; the command “needle index add” takes more formats.', code: 'file_type' };
  if (file.size > mostBytes) throw { title: 'The file is too large', detail: `It has ${bytes(file.size)}; at most ${bytes(mostBytes)} can be added here.`, code: 'file_size' };
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw { title: 'The file cannot be read as UTF-8', detail: 'Save it as UTF-8 text and add it again.', code: 'file_encoding' };
  }
  const heading = type === 'text/markdown' ? /^#[ \t]+(.+?)[ \t#]*$/m.exec(text)?.[1] : undefined;
  return { id: file.name, title: heading ?? file.name, text, source: { uri: file.name, media_type: type } };
}

export async function addFiles(files) {
  const progress = byID('add-progress');
  const status = byID('add-status');
  progress.max = files.length;
  progress.value = 0;
  progress.hidden = false;
  let stored = 0;
  for (const file of files) {
    status.textContent = `Adding ${file.name}, ${progress.value + 1} of ${files.length}…`;
    if (await store(file.name, () => fromFile(file))) stored++;
    progress.value++;
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
