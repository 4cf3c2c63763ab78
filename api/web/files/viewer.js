import { call, documentPath } from './api.js';
import { byID, element, integer } from './dom.js';
import { origin, problemCard } from './results.js';
import { codePoints, cut, head, tail } from './text.js';

// around is how much text on each side of a place is shown of a huge document.
const around = 300_000;

// What the viewer shows now: its text, where the shown part begins in it (UTF-16
// units), and what a marked place is for.
let shown;

// openDocument shows a document, scrolled to a place if one is given:
// {start, end, text} with offsets in code points. With marking, {label, take}, a
// stretch of the text can be marked with a button of that label; take gets
// {answer, start, end} and may fail.
export async function openDocument(index, id, range, marking) {
  const dialog = byID('viewer');
  shown = undefined;
  byID('viewer-mark').hidden = true;
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
  const show = (from, ...parts) => {
    body.replaceChildren(...parts);
    shown = { text: found.text, from, take: marking?.take };
    if (!marking) return;
    byID('viewer-mark').hidden = false;
    byID('viewer-take').textContent = marking.label;
    byID('viewer-take').disabled = true;
    byID('viewer-said').textContent = 'Select the answer in the text.';
  };
  const [before, inside, after] = cut(found.text, range?.start ?? 0, range?.end ?? 0);
  if (range && inside !== range.text) {
    note.textContent = 'The document has changed since; ask again to find the place.';
    show(0, head(found.text, 2 * around));
    body.focus();
    return;
  }
  const left = tail(before, around);
  const right = head(after, around);
  note.textContent = left.length < before.length || right.length < after.length ? 'The document is long; this is the part around the place.' : '';
  if (!range) {
    show(0, right);
    body.scrollTop = 0;
    body.focus();
    return;
  }
  const mark = element('mark', { tabindex: '-1' }, inside);
  show(before.length - left.length, left, mark, right);
  mark.focus({ preventScroll: true });
  mark.scrollIntoView({ block: mark.offsetHeight > body.clientHeight / 2 ? 'start' : 'center' });
}

// selection returns the selected stretch of the document without the space
// around it, in code points; undefined if nothing of it is selected.
function selection() {
  const body = byID('viewer-text');
  const selected = document.getSelection();
  if (!shown || !selected.rangeCount) return undefined;
  const range = selected.getRangeAt(0);
  if (range.collapsed || !body.contains(range.startContainer) || !body.contains(range.endContainer)) return undefined;
  const lead = document.createRange();
  lead.selectNodeContents(body);
  lead.setEnd(range.startContainer, range.startOffset);
  const text = range.toString();
  const answer = text.trim();
  if (!answer) return undefined;
  const at = shown.from + lead.toString().length + text.length - text.trimStart().length;
  const start = codePoints(shown.text.slice(0, at));
  return { answer, start, end: start + codePoints(answer) };
}

function setUpMarking() {
  const said = byID('viewer-said');
  const take = byID('viewer-take');
  let place;
  document.addEventListener('selectionchange', () => {
    if (!shown?.take) return;
    const now = selection();
    // The button takes the focus, and some browsers the selection with it.
    if (!now && document.activeElement === take) return;
    place = now;
    take.disabled = !place;
    said.textContent = place ? `“${head(place.answer, 80)}${place.answer.length > 80 ? '…' : ''}”` : 'Select the answer in the text.';
  });
  take.addEventListener('click', async () => {
    if (!place) return;
    try {
      await shown.take(place);
      said.textContent = 'Thank you, it is kept.';
      take.disabled = true;
    } catch (problem) {
      said.textContent = [problem.title, problem.detail].filter(Boolean).join(': ');
    }
  });
}

export function setUpViewer() {
  const dialog = byID('viewer');
  setUpMarking();
  byID('viewer-close').addEventListener('click', () => dialog.close());
  // A click beside the dialog is one on the dialog element itself.
  dialog.addEventListener('click', (event) => {
    const box = dialog.getBoundingClientRect();
    const outside = event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
    if (event.target === dialog && outside) dialog.close();
  });
}
