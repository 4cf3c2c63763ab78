// Drives the web page of a running server in Chromium:
//
//   node run.mjs http://127.0.0.1:8080 [directory for screenshots]
//
// The server must hold examples/handbook in its configured index; this test
// adds documents of its own, so give it a data directory that can be thrown
// away. CHROMIUM names the browser, /usr/bin/chromium if it is not set.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const base = process.argv[2];
if (!base) {
  console.error('usage: node run.mjs URL [DIRECTORY]');
  process.exit(2);
}
const shots = process.argv[3];
const work = await mkdtemp(join(tmpdir(), 'needle-web-'));
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

const question = 'Who is the longest-serving employee?';
const expected = 'Maureen Blackshaw';
// Astral characters before and in the answer: offsets in code points and in
// UTF-16 units differ. The markup must stay text.
const strange = {
  title: 'Relay <img src=x onerror="document.title=1"> notes',
  text: '🚀🛰️ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 first. <script>document.title = "taken over"</script> <b>bold</b>\n\nThe beacon of the relay ' +
    'station Quillfen was painted violet 🎨 by Odo 𝔅rask in spring.\n' + 'Nothing else is known about it.\n'.repeat(300),
};

let browser;
let failed = 0;

// page opens the page in a fresh profile and watches what it must never do.
async function open(options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  const page = await context.newPage();
  const faults = [];
  const allowed = new Set(); // statuses of answers that a test provokes
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    const status = /status of (\d+)/.exec(message.text())?.[1];
    if (!allowed.has(status)) faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== new URL(base).origin) faults.push(`request to ${request.url()}`);
  });
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const response = await page.goto(`${base}/`);
  assert.equal(response.status(), 200);
  assert.doesNotMatch(response.headers()['content-security-policy'], /unsafe|\*|https?:/);
  await page.waitForFunction(() => document.querySelector('#index option'));
  return {
    page,
    allow: (status) => allowed.add(String(status)),
    async close() {
      assert.deepEqual(await page.evaluate(() => window.violations), [], 'violations of the Content-Security-Policy');
      assert.deepEqual(faults, []);
      await context.close();
    },
  };
}

async function shot(page, name, fullPage = false) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage });
}

async function ask(page, text) {
  await page.getByLabel('Your question').fill(text);
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await page.waitForFunction(() => /read in/.test(document.getElementById('ask-status').textContent));
}

// inView says whether an element is inside the visible part of the document.
const inView = (mark) => {
  const box = mark.getBoundingClientRect();
  const area = document.getElementById('viewer-text').getBoundingClientRect();
  return box.top >= area.top && box.bottom <= area.bottom && box.height > 0;
};

// noOverflow finds what is wider than the window.
async function noOverflow(page) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `the page is ${wide} px wider than the window`);
}

// contrast returns the lowest contrast of text against its background (WCAG
// 2.1) and where it is.
async function contrast(page) {
  return page.evaluate(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data;
    };
    const luminance = (color) => [...rgba(color)].slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (node) => {
      for (let at = node; at; at = at.parentElement) {
        const color = getComputedStyle(at).backgroundColor;
        if (rgba(color)[3] === 255) return color;
      }
      return 'white';
    };
    let worst = { ratio: 21, where: '' };
    for (const node of document.body.querySelectorAll('*')) {
      if (!node.checkVisibility() || ![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
      const [a, b] = [luminance(getComputedStyle(node).color), luminance(behind(node))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < worst.ratio) worst = { ratio, where: `${node.tagName}.${node.className} ${node.textContent.slice(0, 40)}` };
    }
    return worst;
  });
}

const tests = {
  async 'asks and shows the answer in its context'() {
    const { page, close } = await open();
    await ask(page, question);
    const first = page.locator('article.answer').first();
    assert.equal(await first.locator('h3').textContent(), expected);
    assert.equal(await first.locator('.context mark').textContent(), expected);
    assert.match(await first.locator('.chance').textContent(), /\d+ % likely/);
    assert.match(await first.locator('.source').textContent(), /people\/benefits\.md.*characters [\d,]+ to [\d,]+/s);
    assert.match(await page.locator('#ask-status').textContent(), /^\d+ answers?, \d+ passages read in /);
    await page.getByText('Timings and model').click();
    assert.match(await page.locator('details.timings').textContent(), /retrieve.*infer.*total/s);
    await first.getByText('Scores').click();
    assert.match(await first.locator('details').textContent(), /Span logit/);
    await shot(page, 'answers', true);
    await close();
  },

  async 'opens the document at the answer'() {
    const { page, close } = await open();
    await ask(page, question);
    const button = page.locator('article.answer').first().getByRole('button', { name: /^Open/ });
    await button.click();
    const mark = page.locator('#viewer-text mark');
    await mark.waitFor();
    assert.equal(await mark.textContent(), expected);
    assert.ok(await mark.evaluate(inView), 'the answer is not in view');
    assert.ok(await mark.evaluate((m) => document.activeElement === m), 'the answer has no focus');
    const whole = await page.locator('#viewer-text').textContent();
    const stored = await (await fetch(`${base}/v1/indexes/_default/documents/handbook%2Fpeople%2Fbenefits.md`)).json();
    assert.equal(whole, stored.text);
    await shot(page, 'document');
    await page.keyboard.press('Escape');
    assert.ok(await page.locator('#viewer').isHidden());
    assert.ok(await button.evaluate((b) => document.activeElement === b), 'the focus did not come back');
    await close();
  },

  async 'says that there is no answer, and what was rejected'() {
    const { page, close } = await open();
    await ask(page, 'Who won the world cup in 1966?');
    await page.getByText('The documents do not answer this').waitFor();
    assert.equal(await page.locator('article.answer').count(), 0);
    await shot(page, 'no-answer');
    await page.getByRole('button', { name: 'Show what was rejected' }).click();
    await page.locator('article.answer').first().waitFor();
    assert.match(await page.locator('#rejected').textContent(), /rejected answer/);
    await shot(page, 'rejected');
    await close();
  },

  async 'searches and opens the passage'() {
    const { page, close } = await open();
    await page.getByRole('tab', { name: 'Search' }).click();
    await page.getByLabel('Words to look for').fill('carried over leave');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    const hit = page.locator('article.hit').first();
    await hit.waitFor();
    const text = await hit.locator('.context').textContent();
    assert.match(text, /leave/i);
    await shot(page, 'search');
    await hit.getByRole('button', { name: /^Open/ }).click();
    await page.locator('#viewer-text mark').waitFor();
    assert.equal((await page.locator('#viewer-text mark').textContent()).replace(/\n\s*\n/g, '\n'), text);
    await close();
  },

  async 'adds a pasted text and finds the place behind astral characters'() {
    const { page, close } = await open();
    await page.getByRole('tab', { name: 'Add' }).click();
    await page.getByLabel('Title').fill(strange.title);
    await page.getByLabel('Id', { exact: false }).fill('strange/notes ä#?.txt');
    await page.getByLabel('Text', { exact: true }).fill(strange.text);
    await page.getByRole('button', { name: 'Add the text' }).click();
    await page.locator('#add-results li').first().waitFor();
    assert.match(await page.locator('#add-results li').first().textContent(), /(added|replaced|already there).*passages/);
    await page.getByRole('tab', { name: 'Ask' }).click();
    await ask(page, 'Who painted the beacon of the relay station Quillfen?');
    const card = page.locator('article.answer').first();
    assert.match(await card.locator('h3').textContent(), /Odo/);
    assert.equal(await card.locator('.context mark').textContent(), await card.locator('h3').textContent());
    await card.getByRole('button', { name: /^Open/ }).click();
    const mark = page.locator('#viewer-text mark');
    await mark.waitFor();
    assert.equal(await mark.textContent(), await card.locator('h3').textContent());
    assert.equal(await page.locator('#viewer-text').textContent(), strange.text);
    assert.equal(await page.locator('#viewer-text script, #viewer-text b, img[src="x"]').count(), 0, 'text became HTML');
    assert.equal(await page.title(), 'Needle');
    await shot(page, 'astral');
    await close();
  },

  async 'takes files by choice and by drag and drop'() {
    const { page, allow, close } = await open();
    allow(400);
    await page.getByRole('tab', { name: 'Add' }).click();
    const good = join(work, 'ferry.md');
    const empty = join(work, 'empty.txt');
    const broken = join(work, 'broken.docx');
    await writeFile(good, '# The ferry\n\nThe ferry to Orrin Isle leaves at 06:45 from pier four.\n');
    await writeFile(empty, '');
    await writeFile(broken, 'PK\x03\x04'.padEnd(30, '\0'));
    await page.locator('#files').setInputFiles([good, empty, broken]);
    await page.waitForFunction(() => /stored/.test(document.getElementById('add-status').textContent));
    assert.equal(await page.locator('#add-status').textContent(), '1 of 3 files stored.');
    const log = await page.locator('#add-results').textContent();
    assert.match(log, /ferry\.md: (added|replaced|already there)/);
    assert.match(log, /empty\.txt: (not taken|left out): it holds no text/);
    assert.match(log, /broken\.docx: not taken: it is damaged or cut off/);
    const formats = join(import.meta.dirname, '../../../ingest/testdata/formats');
    await page.locator('#files').setInputFiles([join(formats, 'openpyxl.xlsx'), join(formats, 'archive.zip')]);
    await page.waitForFunction(() => /2 of 2 files stored/.test(document.getElementById('add-status').textContent));
    assert.match(await page.locator('#add-results').textContent(), /archive\.zip!\/deck\/slides\.pptx: (added|replaced|already there)/);
    await page.getByRole('tab', { name: 'Ask' }).click();
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File(['The lighthouse of Orrin Isle was built by Ketil Varr.'], 'lighthouse.txt', { type: 'text/plain' }));
      data.items.add(new File(['%PDF-1.7 and nothing more'], 'plan.pdf', { type: 'application/pdf' }));
      for (const type of ['dragover', 'drop']) document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: data }));
    });
    await page.waitForFunction(() => /1 of 2 files stored/.test(document.getElementById('add-status').textContent));
    assert.ok(await page.locator('#panel-add').isVisible());
    await shot(page, 'add', true);
    await page.getByRole('tab', { name: 'Ask' }).click();
    await ask(page, 'Who built the lighthouse of Orrin Isle?');
    assert.equal(await page.locator('article.answer h3').first().textContent(), 'Ketil Varr');
    await close();
  },

  async 'lists indexes and their documents'() {
    const { page, close } = await open();
    await page.getByRole('tab', { name: 'Indexes' }).click();
    await page.getByRole('button', { name: 'Documents of default' }).click();
    await page.locator('#document-list tbody tr').first().waitFor();
    assert.ok(await page.locator('#document-list tbody tr').count() > 60);
    await page.waitForFunction(() => document.activeElement?.textContent === 'Documents of default');
    await shot(page, 'indexes');
    await page.locator('#document-list tbody button').first().click();
    await page.waitForFunction(() => document.getElementById('viewer-text').textContent.length > 100);
    await close();
  },

  async 'shows errors with what to do'() {
    const { page, allow, close } = await open();
    allow(400);
    await page.getByLabel('Your question').fill('why '.repeat(400));
    await page.keyboard.press('Enter');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    assert.match(await alert.textContent(), /The question is too long.*Ask in one sentence.*question_too_long/s);
    await shot(page, 'problem');
    await page.route('**/v1/ask', (route) => route.abort());
    await page.context().setOffline(true);
    await page.getByLabel('Your question').fill('Who?');
    await page.keyboard.press('Enter');
    await page.getByText('The server cannot be reached').waitFor();
    await page.context().setOffline(false);
    await page.unroute('**/v1/ask');
    await ask(page, question);
    assert.equal(await page.getByRole('alert').count(), 0, 'the error is still there after a good answer');
    await page.context().close();
    void close; // the console names the request that was cut off on purpose
  },

  async 'works by keyboard alone'() {
    const { page, close } = await open();
    const active = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
    await page.keyboard.press('Tab');
    assert.equal(await active(), 'Skip to the content');
    await page.keyboard.press('Tab');
    assert.equal(await active(), 'tab-ask');
    await page.keyboard.press('ArrowRight');
    assert.equal(await active(), 'tab-search');
    assert.ok(await page.locator('#panel-search').isVisible());
    await page.keyboard.press('End');
    assert.equal(await active(), 'tab-status');
    await page.keyboard.press('ArrowRight');
    assert.equal(await active(), 'tab-ask');
    await page.keyboard.press('Tab');
    assert.equal(await active(), 'index');
    await page.keyboard.press('Tab');
    assert.equal(await active(), 'question');
    await page.keyboard.type(question);
    await page.keyboard.press('Enter');
    await page.locator('article.answer').first().waitFor();
    await page.waitForFunction(() => !document.querySelector('#ask-form [aria-busy]'));
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Ask');
    await page.keyboard.press('Tab');
    // Documents that other tests added may have brought something to filter by.
    if (await page.locator('#ask-filters summary').evaluateAll((found) => found.includes(document.activeElement))) await page.keyboard.press('Tab');
    assert.equal(await active(), 'Open the document here');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineWidth);
    assert.equal(outline, '3px', 'the focus cannot be seen');
    await page.keyboard.press('Enter');
    await page.locator('#viewer-text mark').waitFor();
    await page.waitForFunction(() => document.activeElement.tagName === 'MARK');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await active(), 'viewer-close');
    await page.keyboard.press('Enter');
    assert.ok(await page.locator('#viewer').isHidden());
    assert.equal(await active(), 'Open the document here');
    await page.getByRole('tab', { name: 'Ask' }).focus();
    await page.keyboard.press('/');
    assert.equal(await active(), 'question');
    await close();
  },

  async 'names everything for a screen reader'() {
    const { page, close } = await open();
    await ask(page, question);
    for (const tab of ['Ask', 'Search', 'Add', 'Indexes']) {
      await page.getByRole('tab', { name: tab }).click();
      if (tab === 'Indexes') await page.getByRole('button', { name: 'Documents of default' }).waitFor();
      const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea, meter, progress, dialog, [role="tabpanel"]')]
        .filter((node) => node.checkVisibility() && node.getAttribute('aria-hidden') !== 'true' && !node.getAttribute('aria-label') && !node.getAttribute('aria-labelledby') && !node.labels?.length && !node.textContent.trim())
        .map((node) => node.outerHTML.slice(0, 100)));
      assert.deepEqual(nameless, []);
      const ids = await page.evaluate(() => [...document.querySelectorAll('[aria-controls], [aria-labelledby], label[for]')]
        .flatMap((node) => [node.getAttribute('aria-controls'), node.getAttribute('aria-labelledby'), node.htmlFor]).filter((id) => id && !document.getElementById(id)));
      assert.deepEqual(ids, [], 'references to what is not there');
      assert.equal(await page.getByRole('tab', { name: tab, selected: true }).count(), 1);
    }
    assert.equal(await page.locator('#ask-status[aria-live="polite"]').count(), 1);
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
    await close();
  },

  async 'fits a phone, in light and in dark'() {
    for (const colorScheme of ['light', 'dark']) {
      const { page, close } = await open({ viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme });
      await ask(page, question);
      await noOverflow(page);
      const small = await page.evaluate(() => [...document.querySelectorAll('.tabs button, form button, .foot button, input[type="text"]')]
        .filter((node) => node.checkVisibility() && node.getBoundingClientRect().height < 39).map((node) => node.outerHTML.slice(0, 80)));
      assert.deepEqual(small, [], 'too small for a finger');
      await shot(page, `phone-${colorScheme}`);
      await page.locator('article.answer').first().getByRole('button', { name: /^Open/ }).tap();
      await page.locator('#viewer-text mark').waitFor();
      assert.ok(await page.locator('#viewer-text mark').evaluate(inView));
      await noOverflow(page);
      await shot(page, `phone-document-${colorScheme}`);
      await page.getByRole('button', { name: 'Close' }).tap();
      for (const tab of ['Search', 'Add', 'Indexes']) {
        await page.getByRole('tab', { name: tab }).tap();
        if (tab === 'Indexes') await page.getByRole('button', { name: 'Documents of default' }).waitFor();
        await noOverflow(page);
        await shot(page, `phone-${tab.toLowerCase()}-${colorScheme}`);
      }
      await close();
    }
  },

  async 'filters by facets, in searching and in asking'() {
    const { page, close } = await open();
    await page.evaluate(async () => {
      const index = document.getElementById('index').value;
      for (const [id, team, word] of [['facet-1', 'red', 'granite'], ['facet-2', 'blue', 'basalt'], ['facet-3', 'blue', 'marble']]) {
        const response = await fetch(`/v1/indexes/${index}/documents/${id}`, { method: 'PUT', headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ text: `The zweifel quarry delivers ${word} to the harbour.`, metadata: { team } }) });
        if (!response.ok) throw new Error(await response.text());
      }
    });
    await page.reload();
    await page.waitForFunction(() => document.querySelector('#index option'));
    await page.getByRole('tab', { name: 'Search' }).click();
    await page.getByLabel('Words to look for').fill('zweifel quarry');
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    await page.locator('#search-filters summary').click();
    const blue = page.locator('#search-filters').getByRole('checkbox', { name: 'blue 2' });
    await blue.check();
    await page.waitForFunction(() => document.querySelectorAll('#search-results .hit').length === 2);
    assert.match(await page.locator('#search-filters summary').textContent(), /1 value chosen/);
    assert.ok(await page.locator('#search-filters').getByRole('checkbox', { name: 'blue 2' }).evaluate((box) => box === document.activeElement), 'the focus is lost');
    await page.locator('#search-filters').getByRole('checkbox', { name: 'red 1' }).check();
    await page.waitForFunction(() => document.querySelectorAll('#search-results .hit').length === 3);
    await page.locator('#search-filters').getByRole('checkbox', { name: 'blue 2' }).uncheck();
    await page.waitForFunction(() => document.querySelectorAll('#search-results .hit').length === 1);
    assert.match(await page.locator('#search-results').textContent(), /granite/);
    await shot(page, 'facets');
    // The choice holds for asking too.
    await page.getByRole('tab', { name: 'Ask' }).click();
    await ask(page, 'What does the zweifel quarry deliver to the harbour?');
    assert.doesNotMatch(await page.locator('#ask-results').textContent(), /basalt|marble/);
    await page.locator('#ask-filters summary').click();
    await page.locator('#ask-filters').getByRole('button', { name: 'Choose none' }).click();
    await page.waitForFunction(() => document.querySelector('#ask-filters summary')?.textContent === 'Filters');
    await close();
  },

  async 'takes feedback, marks a better place and reviews both'() {
    const { page, close } = await open();
    await ask(page, question);
    const first = page.locator('article.answer').first();
    await first.getByRole('button', { name: 'Right', exact: true }).click();
    await first.getByText('Thank you, it is kept.').waitFor();
    assert.equal(await first.getByRole('button', { name: 'Right', exact: true }).getAttribute('aria-pressed'), 'true');
    await first.getByRole('button', { name: 'Mark the right place…' }).click();
    await page.locator('#viewer-text mark').waitFor();
    assert.ok(await page.locator('#viewer-take').isDisabled());
    const marked = await page.evaluate(() => {
      const mark = document.querySelector('#viewer-text mark');
      const range = document.createRange();
      const before = mark.previousSibling;
      range.setStart(before, before.data.length - 12);
      range.setEnd(mark.firstChild, mark.firstChild.data.length);
      document.getSelection().removeAllRanges();
      document.getSelection().addRange(range);
      return range.toString().trim();
    });
    await page.waitForFunction(() => !document.getElementById('viewer-take').disabled);
    await shot(page, 'marking');
    await page.getByRole('button', { name: 'This is the answer' }).click();
    await page.locator('#viewer-said').getByText('Thank you, it is kept.').waitFor();
    await page.keyboard.press('Escape');
    await ask(page, 'What is the airspeed of an unladen swallow over Patagonia?');
    const none = page.locator('.none');
    await none.getByRole('button', { name: 'Right, there is none' }).click();
    await none.getByText('Thank you, it is kept.').waitFor();

    await page.getByRole('tab', { name: 'Review' }).click();
    const item = page.locator('#review-list article').filter({ hasText: question });
    await item.waitFor();
    assert.ok((await item.textContent()).includes(marked), 'the marked place is not in the queue');
    await item.getByRole('button', { name: 'Accept: Another place is better' }).click();
    await page.getByText('1 judgement reviewed.').waitFor();
    assert.match(await page.locator('#review-list article').filter({ hasText: question }).textContent(), /Settled: “/);
    await page.getByLabel('Questions with feedback').selectOption('reviewed');
    await page.waitForFunction(() => document.querySelectorAll('#review-list article').length === 1);
    await shot(page, 'review');
    const { ratio, where } = await contrast(page);
    assert.ok(ratio >= 4.5, `contrast of ${ratio.toFixed(2)} in ${where}`);
    await close();
  },

  async 'shows how the server does, live'() {
    const { page, close } = await open();
    await page.getByRole('tab', { name: 'Status' }).click();
    await page.locator('.plot').first().waitFor();
    // Asked beside the page while the plots are watched.
    await page.evaluate(async (text) => {
      for (let i = 0; i < 3; i++) await fetch('/v1/ask', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ question: `${text} ${i}` }) });
    }, question);
    const median = page.locator('.plot').filter({ hasText: 'Time of a question, median' });
    await page.waitForFunction(() => [...document.querySelectorAll('.plot')].some((p) => p.textContent.includes('median') && /\d+ m?s/.test(p.querySelector('.value').textContent)));
    assert.ok(await median.locator('path.curve').getAttribute('d'), 'no curve');
    const tables = await page.locator('#status-tables').textContent();
    for (const title of ['Indexes', 'Stages since the start', 'Caches since the start']) assert.ok(tables.includes(title), `no table ${title}`);
    assert.match(await page.locator('#status-note').textContent(), /^Model \S+ \(\w+\)\./);
    await noOverflow(page);
    await shot(page, 'status', true);
    const { ratio, where } = await contrast(page);
    assert.ok(ratio >= 4.5, `contrast of ${ratio.toFixed(2)} in ${where}`);
    await close();
  },

  async 'asks for a key and sends it'() {
    const { page, allow, close } = await open();
    allow(401);
    const keys = [];
    await page.route('**/v1/**', (route) => {
      const given = route.request().headers().authorization;
      keys.push(given ?? '');
      if (given === 'Bearer needle_right') return route.continue();
      return route.fulfill({ status: 401, contentType: 'application/problem+json', body: JSON.stringify({ title: 'A valid key is needed', status: 401, detail: 'Send a key.', code: 'unauthenticated' }) });
    });
    await page.reload();
    await page.getByText('This server wants an API key.').waitFor();
    await page.locator('#key').fill('needle_wrong');
    await page.keyboard.press('Enter');
    await page.getByText('The server does not accept the key of this tab.').waitFor();
    await shot(page, 'key');
    await page.locator('#key').fill('needle_right');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.getElementById('index').options.length > 0);
    await ask(page, question);
    assert.ok(keys.includes('Bearer needle_wrong') && keys.at(-1) === 'Bearer needle_right', `sent ${keys}`);
    assert.ok(!page.url().includes('needle_'), 'the key is in the address');
    assert.equal(await page.evaluate(() => document.cookie + JSON.stringify(localStorage)), '{}', 'the key is kept beyond the tab');
    await page.getByRole('button', { name: 'API key', exact: true }).click();
    await page.getByRole('button', { name: 'Forget it' }).click();
    await page.getByText('This server wants an API key.').waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await close();
  },

  async 'can be read in light and in dark'() {
    const backs = [];
    for (const colorScheme of ['light', 'dark']) {
      const { page, close } = await open({ colorScheme });
      await ask(page, question);
      await shot(page, `desktop-${colorScheme}`);
      const views = [['answers', () => {}], ['document', () => page.locator('article.answer').first().getByRole('button', { name: /^Open/ }).click().then(() => page.locator('#viewer-text mark').waitFor())],
        ['add', () => page.keyboard.press('Escape').then(() => page.getByRole('tab', { name: 'Add' }).click())]];
      for (const [name, go] of views) {
        await go();
        const { ratio, where } = await contrast(page);
        assert.ok(ratio >= 4.5, `${colorScheme}, ${name}: contrast of ${ratio.toFixed(2)} in ${where}`);
      }
      backs.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
      await close();
    }
    assert.notEqual(backs[0], backs[1], 'dark mode looks like light mode');
  },
};

try {
  if (shots) await mkdir(shots, { recursive: true });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags });
  console.log(`Chromium ${browser.version()}`);
  for (const [name, test] of Object.entries(tests)) {
    const begin = performance.now();
    try {
      await test();
      console.log(`ok    ${name} (${Math.round(performance.now() - begin)} ms)`);
    } catch (error) {
      failed++;
      console.log(`FAIL  ${name}\n${error.stack}`);
    }
  }
} finally {
  await browser?.close();
  await rm(work, { recursive: true, force: true });
}
console.log(failed ? `${failed} failed` : `${Object.keys(tests).length} passed`);
process.exitCode = failed ? 1 : 0;
