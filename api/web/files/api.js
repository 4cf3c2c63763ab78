// Calls of the HTTP API.
import { askForKey, keyHeader, storedKey } from './key.js';

// A Problem is an error as the server describes it: title, what to do about it
// (detail), a stable code and the id under which the server logged it.
export class Problem extends Error {
  constructor({ title, detail, code, request_id: requestID, status }) {
    super(title);
    Object.assign(this, { title, detail, code, requestID, status });
  }
}

export async function call(method, path, body, signal) {
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...keyHeader() },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    text = await response.text();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem({ title: 'The server cannot be reached', detail: 'Is `needle serve` still running? Then try again.', code: 'unreachable' });
  }
  let value;
  try {
    value = text === '' ? undefined : JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (response.ok) return value;
  if (response.status === 401) askForKey(storedKey() ? 'The server does not accept the key of this tab.' : 'This server wants an API key.');
  throw new Problem(value?.code ? value : { title: `The server answered ${response.status}`, detail: 'This is no answer of Needle; a proxy may be in between.', code: 'unknown', status: response.status });
}

// metrics returns what the server exports about itself, in Prometheus's text format.
export async function metrics() {
  let response;
  try {
    response = await fetch('/metrics', { headers: { Accept: 'text/plain', ...keyHeader() } });
  } catch {
    throw new Problem({ title: 'The server cannot be reached', detail: 'Is `needle serve` still running?', code: 'unreachable' });
  }
  const text = await response.text();
  if (response.ok) return text;
  throw new Problem({ title: `The server answered ${response.status}`, status: response.status, code: 'no_metrics' });
}

// upload sends one file and tells how far it has come, from 0 to 1. Fetch cannot
// tell, so this is the older way.
export function upload(index, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append('file', file, file.name);
    request.open('POST', `/v1/indexes/${encodeURIComponent(index || '_default')}/files`);
    for (const [header, value] of Object.entries(keyHeader())) request.setRequestHeader(header, value);
    request.upload.addEventListener('progress', (event) => event.lengthComputable && progress(event.loaded / event.total));
    request.addEventListener('error', () => reject(new Problem({ title: 'The server cannot be reached', detail: 'Is `needle serve` still running? Then try again.', code: 'unreachable' })));
    request.addEventListener('load', () => {
      let value;
      try {
        value = JSON.parse(request.responseText);
      } catch {
        value = undefined;
      }
      if (request.status === 200 && value?.files?.length === 1) resolve(value.files[0]);
      else reject(new Problem(value?.code ? value : { title: `The server answered ${request.status}`, detail: 'This is no answer of Needle; a proxy may be in between.', code: 'unknown', status: request.status }));
    });
    request.send(form);
  });
}

export const documentPath = (index, id) => `/v1/indexes/${encodeURIComponent(index || '_default')}/documents/${encodeURIComponent(id)}`;
