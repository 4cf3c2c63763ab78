// The queue of feedback: questions, what was said of them, what is settled.
import { call } from './api.js';
import { byID, decimal, element, plural } from './dom.js';
import { problemCard } from './results.js';
import { openDocument } from './viewer.js';

const verdicts = {
  correct: 'The answer is right', wrong: 'The answer is wrong', better: 'Another place is better',
  missing: 'There is an answer', unanswerable: 'There is no answer',
};
const time = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
const when = (at) => element('time', { datetime: at }, time.format(new Date(at)));

async function decide(index, card, ids, decision) {
  try {
    const result = await call('POST', '/v1/feedback/review', { index, ids, decision });
    const mine = result.cases.find((c) => c.id === card.dataset.case) ?? result.cases[0];
    if (mine) {
      const next = caseCard(index, mine);
      card.replaceWith(next);
      next.querySelector('h3').focus();
    }
    byID('review-status').textContent = `${plural(result.reviewed, 'judgement', 'judgements')} reviewed.`;
  } catch (problem) {
    card.append(problemCard(problem));
  }
}

function judgement(index, card, item, said) {
  const place = item.document_id && element('button', {
    type: 'button', class: 'link', 'aria-label': `Open ${item.document_id}`,
    click: () => openDocument(index, item.document_id, item.answer ? { start: item.start, end: item.end, text: item.answer } : undefined),
  }, item.document_id);
  const parts = [said, item.standing, `weight ${decimal(item.weight)}`].filter(Boolean).join(' · ');
  const act = (label, decision) => element('button', { type: 'button', 'aria-label': `${label}: ${said}`, click: () => decide(index, card, [item.id], decision) }, label);
  return element('li', {},
    element('p', { dir: 'auto' }, item.answer ? `“${item.answer}” ` : '', place),
    element('p', { class: 'meta' }, `${parts} · `, when(item.at)),
    item.comment && element('p', { dir: 'auto', class: 'meta' }, item.comment),
    element('div', { class: 'verdict' }, item.decision ? act('Reopen', 'reopen') : [act('Accept', 'accept'), act('Reject', 'reject')]));
}

function caseCard(index, item) {
  const card = element('article', { class: 'card', 'data-case': item.id });
  const settled = item.unanswerable ? 'Settled: no document answers this.'
    : item.answers.length ? `Settled: ${item.answers.map((a) => `“${a.answer}”`).join(', ')}` : 'Nothing is settled yet.';
  card.append(element('h3', { dir: 'auto', tabindex: '-1' }, item.question),
    element('p', { class: 'meta' }, element('b', {}, item.state), ' · ', settled),
    element('ul', { class: 'judgements' }, item.judgements.map((j) => judgement(index, card, j, verdicts[j.verdict] ?? j.verdict))));
  return card;
}

export async function showReview(after) {
  const index = byID('index').value;
  const state = byID('review-state').value;
  const list = byID('review-list');
  const status = byID('review-status');
  try {
    const query = new URLSearchParams({ limit: '50', ...(index && { index }), ...(state && { state }), ...(after && { after }) });
    const page = await call('GET', `/v1/feedback?${query}`);
    if (!after) list.replaceChildren();
    list.querySelector('.more')?.remove();
    list.append(...page.cases.map((item) => caseCard(index, item)));
    if (page.next) list.append(element('button', { type: 'button', class: 'more', click: () => showReview(page.next) }, 'More questions'));
    const counts = Object.entries(page.counts).filter(([, n]) => n).map(([name, n]) => `${n} ${name}`).join(', ');
    status.textContent = counts || 'Nobody has said anything about answers yet.';
  } catch (problem) {
    status.textContent = problem.status === 403 ? 'Reviewing needs a key with the role admin.' : '';
    list.replaceChildren(...(problem.status === 403 ? [] : [problemCard(problem)]));
  }
}

export function setUpReview() {
  byID('review-state').addEventListener('change', () => showReview());
}
