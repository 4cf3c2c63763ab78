// The page: tabs, asking and searching.
import { setUpAdd } from './add.js';
import { call } from './api.js';
import { byID, element, milliseconds, percent, plural } from './dom.js';
import { answerFeedback, noAnswerFeedback } from './feedback.js';
import { currentFilter, facetFields, showFilters } from './filters.js';
import { setUpKey } from './key.js';
import { loadIndexes, showIndexes } from './indexes.js';
import { setUpReview, showReview } from './review.js';
import { answerCard, hitCard, problemCard, timings, warningList } from './results.js';
import { hideStatus, showStatus } from './status.js';
import { openDocument, setUpViewer } from './viewer.js';

const tabs = ['ask', 'search', 'add', 'indexes', 'review', 'status'];

function showTab(name, focus) {
  for (const tab of tabs) {
    const button = byID(`tab-${tab}`);
    button.setAttribute('aria-selected', String(tab === name));
    button.tabIndex = tab === name ? 0 : -1;
    byID(`panel-${tab}`).hidden = tab !== name;
    if (focus && tab === name) button.focus();
  }
  history.replaceState(null, '', `#${name}`);
  if (name === 'indexes') showIndexes();
  if (name === 'review') showReview();
  if (name === 'status') showStatus();
  else hideStatus();
}

function setUpTabs() {
  for (const [i, tab] of tabs.entries()) {
    const button = byID(`tab-${tab}`);
    button.addEventListener('click', () => showTab(tab));
    button.addEventListener('keydown', (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1 + tabs.length, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      showTab(tabs[to % tabs.length], true);
    });
  }
  window.addEventListener('hashchange', () => {
    const name = location.hash.slice(1);
    if (tabs.includes(name)) showTab(name);
  });
}

// runner returns a function that shows the outcome of one request after the
// other; a new request ends the one before.
function runner(form, status, area, waiting) {
  let running;
  return async (request) => {
    running?.abort();
    const mine = new AbortController();
    running = mine;
    const button = form.querySelector('button');
    button.setAttribute('aria-busy', 'true');
    status.textContent = waiting;
    try {
      await request(mine.signal);
    } catch (problem) {
      if (mine !== running || problem.name === 'AbortError') return;
      status.textContent = '';
      area.replaceChildren(problemCard(problem));
    } finally {
      if (mine === running) button.removeAttribute('aria-busy');
    }
  };
}

function showAnswers(result, again) {
  const area = byID('ask-results');
  const open = (answer) => openDocument(result.index, answer.document_id, answer);
  const read = `${plural(result.candidates_read, 'passage', 'passages')} read in ${milliseconds(result.timings_ms.total)}${result.complete ? '' : ', not all of them'}`;
  const cards = [];
  if (result.answerable) {
    byID('ask-status').textContent = `${plural(result.answers.length, 'answer', 'answers')}, ${read}.`;
    cards.push(...result.answers.map((answer) => answerCard(answer, result.calibrated, open, answerFeedback(result, answer))));
  } else {
    byID('ask-status').textContent = `No answer, ${read}.`;
    cards.push(element('div', { class: 'card none' },
      element('h3', {}, 'The documents do not answer this'),
      element('p', {}, result.candidates_read ? `It is ${percent(result.no_answer_probability)} likely${result.calibrated ? '' : ' (a rough estimate)'} that no document holds the answer. Put it in other words, or add the document that does.`
        : 'No passage shares a word with the question. Put it in other words, or add the document that answers it.'),
      result.candidates_read && !result.rejected ? element('button', { type: 'button', click: again }, 'Show what was rejected') : '',
      noAnswerFeedback(result)));
    if (result.rejected) {
      cards.push(element('h2', { class: 'meta', tabindex: '-1', id: 'rejected' }, plural(result.rejected.length, 'rejected answer', 'rejected answers')));
      cards.push(...result.rejected.map((answer) => answerCard(answer, result.calibrated, open, answerFeedback(result, answer))));
    }
  }
  area.replaceChildren(...[...cards, warningList(result.warnings), timings(result)].filter(Boolean));
  byID('rejected')?.focus();
}

function setUpAsk() {
  const form = byID('ask-form');
  const run = runner(form, byID('ask-status'), byID('ask-results'), 'Reading…');
  const ask = (rejected) => {
    const question = byID('question').value.trim();
    if (!question) return;
    run(async (signal) => {
      const index = byID('index').value;
      const facets = await facetFields();
      const filter = currentFilter();
      const result = await call('POST', '/v1/ask', { question, index, include_rejected: rejected, ...(filter && { filter }) }, signal);
      showAnswers(result, () => ask(true));
      // Counts come after the answers: they must not hold these up.
      const counted = facets.length ? await call('POST', '/v1/search', { query: question, index, top_k: 1, facets, ...(filter && { filter }) }, signal) : { facets: [] };
      showFilters(byID('ask-filters'), counted.facets ?? [], () => ask(false));
    });
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    ask(false);
  });
}

function setUpSearch() {
  const form = byID('search-form');
  const area = byID('search-results');
  const run = runner(form, byID('search-status'), area, 'Searching…');
  const search = () => {
    const query = byID('query').value.trim();
    if (!query) return;
    run(async (signal) => {
      const facets = await facetFields();
      const filter = currentFilter();
      const result = await call('POST', '/v1/search', { query, index: byID('index').value, ...(facets.length && { facets }), ...(filter && { filter }) }, signal);
      showFilters(byID('search-filters'), result.facets ?? [], search);
      byID('search-status').textContent = `${plural(result.hits.length, 'passage', 'passages')} in ${milliseconds(result.timings_ms.total)}.`;
      area.replaceChildren(...[...result.hits.map((hit) => hitCard(hit, (h) => openDocument(result.index, h.document_id, h))),
        warningList(result.warnings), timings(result)].filter(Boolean));
    });
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    search();
  });
}

// start says at once what would make the first question fail.
async function start() {
  const notice = byID('notice');
  try {
    const indexes = await loadIndexes();
    if (!indexes.some((index) => index.documents > 0 || index.restricted)) {
      notice.append(element('p', { class: 'note' }, 'There are no documents yet. Add some, then ask.'));
      showTab('add');
    }
    await call('GET', '/readyz');
  } catch (problem) {
    notice.append(problemCard(problem));
  }
}

setUpTabs();
setUpKey();
setUpViewer();
setUpAsk();
setUpSearch();
setUpReview();
setUpAdd(() => showTab('add'));
if (tabs.includes(location.hash.slice(1))) showTab(location.hash.slice(1));
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog')) return;
  const input = document.querySelector('[role="tabpanel"]:not([hidden]) input[type="text"]');
  if (!input) return;
  event.preventDefault();
  input.focus();
});
start();
