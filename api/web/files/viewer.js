import { call, documentPath } from './api.js';
import { byID, element, integer } from './dom.js';
import { origin, problemCard } from './results.js';
import { codePoints, cut, head, tail } from './text.js';

// around is how much text on each side of a place is shown of a huge document.
const around = 300_000;

// openDocument shows a document, scrolled to a place if one is given:
// {start, end, text} with offsets in code points.
export async function openDocument(index, id, range) {
  const dialog = byID('viewer');
  const note = byID('viewer-note');
  const body = byID('viewer-text');
  byID('viewer-title').textContent = id;
  byID('viewer-meta').textContent = '';
  note.textContent = 'Loading…';
  body.replaceChildren();
  if (!dialog.open) dialog.showModal();
  let found;
  try {
    found = await call('GET', documentPath(index, id));
  } catch (problem) {
    note.textContent = '';
    body.replaceChildren(problemCard(problem));
    return;
  }
  byID('viewer-title').textContent = found.title || found.id;
  byID('viewer-meta').textContent = [found.id, origin(found.source, found.id), `${integer(codePoints(found.text))} characters`].filter(Boolean).join(' · ');
  const [before, inside, after] = cut(found.text, range?.start ?? 0, range?.end ?? 0);
  if (range && inside !== range.text) {
    note.textContent = 'The document has changed since; ask again to find the place.';
    body.replaceChildren(head(found.text, 2 * around));
    body.focus();
    return;
  }
  const left = tail(before, around);
  const right = head(after, around);
  note.textContent = left.length < before.length || right.length < after.length ? 'The document is long; this is the part around the place.' : '';
  if (!range) {
    body.replaceChildren(right);
    body.scrollTop = 0;
    body.focus();
    return;
  }
  const mark = element('mark', { tabindex: '-1' }, inside);
  body.replaceChildren(left, mark, right);
  mark.focus({ preventScroll: true });
  mark.scrollIntoView({ block: mark.offsetHeight > body.clientHeight / 2 ? 'start' : 'center' });
}

export function setUpViewer() {
  const dialog = byID('viewer');
  byID('viewer-close').addEventListener('click', () => dialog.close());
  // A click beside the dialog is one on the dialog element itself.
  dialog.addEventListener('click', (event) => {
    const box = dialog.getBoundingClientRect();
    const outside = event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
    if (event.target === dialog && outside) dialog.close();
  });
}
