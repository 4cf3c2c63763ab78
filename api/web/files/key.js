// The API key of this tab. It stays in the session's storage, which ends with
// the tab, and is sent with every call. Whoever can run a script in this page
// could read it, so the page runs none but its own (see its
// Content-Security-Policy).
import { byID } from './dom.js';

const name = 'needle.key';

export const storedKey = () => sessionStorage.getItem(name) ?? '';

export const keyHeader = () => (storedKey() ? { Authorization: `Bearer ${storedKey()}` } : {});

// setUpKey listens to the form. The page is loaded anew with another key, so
// that nothing stays that the former one showed.
export function setUpKey() {
  const form = byID('key-form');
  const input = byID('key');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const value = input.value.trim();
    input.value = '';
    if (!value) return;
    sessionStorage.setItem(name, value);
    location.reload();
  });
  byID('key-forget').addEventListener('click', () => {
    sessionStorage.removeItem(name);
    location.reload();
  });
  byID('key-open').addEventListener('click', () => askForKey(''));
}

// askForKey shows the field and says why.
export function askForKey(why) {
  byID('key-form').hidden = false;
  byID('key-forget').hidden = !storedKey();
  byID('key-why').textContent = why || (storedKey() ? 'A key is in use in this tab.' : 'No key is in use in this tab.');
  byID('key').focus();
}
