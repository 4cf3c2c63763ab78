// What people say of answers: right, wrong, a better place, no answer here.
import { call } from './api.js';
import { element } from './dom.js';
import { openDocument } from './viewer.js';

// about holds what every verdict on a result says beside itself.
const about = (result) => ({ question: result.question, index: result.index, model: result.model.hash, generation: result.generation });

const span = (answer) => ({ document_id: answer.document_id, answer: answer.text, start: answer.start, end: answer.end });

// buttons makes a row of verdicts, of which one is given.
function buttons(name, choices) {
  const status = element('span', { role: 'status', class: 'meta' });
  const row = element('div', { class: 'verdict', role: 'group', 'aria-label': name });
  const all = choices.map(([label, verdict]) => {
    const button = element('button', { type: 'button', 'aria-pressed': 'false', click: async () => {
      try {
        status.textContent = '';
        const said = await verdict(status);
        if (said === false) return;
        for (const other of all) other.setAttribute('aria-pressed', String(other === button));
        status.textContent = 'Thank you, it is kept.';
      } catch (problem) {
        status.textContent = [problem.title, problem.detail].filter(Boolean).join(': ');
      }
    } }, label);
    return button;
  });
  row.append(...all, status);
  return row;
}

const send = (body) => call('POST', '/v1/feedback', body);

// answerFeedback is the row under an answer.
export function answerFeedback(result, answer) {
  const better = () => {
    openDocument(result.index, answer.document_id, answer, {
      label: 'This is the answer',
      take: (place) => send({ ...about(result), verdict: 'better', document_id: answer.document_id, ...place, replaces_start: answer.start, replaces_end: answer.end }),
    });
    return false;
  };
  return buttons(`Is ${answer.text} right?`, [
    ['Right', () => send({ ...about(result), verdict: 'correct', ...span(answer) })],
    ['Wrong', () => send({ ...about(result), verdict: 'wrong', ...span(answer) })],
    ['Mark the right place…', better],
  ]);
}

// noAnswerFeedback is the row under "the documents do not answer this".
export function noAnswerFeedback(result) {
  return buttons('Is it right that there is no answer?', [
    ['Right, there is none', () => send({ ...about(result), verdict: 'unanswerable' })],
    ['There is an answer', () => send({ ...about(result), verdict: 'missing' })],
  ]);
}
