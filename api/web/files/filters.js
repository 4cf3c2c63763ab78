// Filters by the values of metadata. What is chosen holds for asking and for
// searching, until another index is chosen.
import { call } from './api.js';
import { byID, element, integer, plural } from './dom.js';

const mostFields = 8;
const chosen = new Map(); // field -> Set of values
const known = new Map(); // field -> values and counts from when nothing of the field was chosen
let ofIndex;
let fields = [];

// facetFields returns the fields of the chosen index whose values can be
// counted; none is no error.
export async function facetFields() {
  const index = byID('index').value;
  if (index !== ofIndex) {
    chosen.clear();
    known.clear();
    fields = [];
    ofIndex = index;
    const described = await call('GET', `/v1/indexes/${encodeURIComponent(index || '_default')}`).catch(() => undefined);
    fields = Object.entries(described?.fields ?? {}).filter(([, type]) => type === 'keyword' || type === 'boolean').map(([field]) => field).sort().slice(0, mostFields);
  }
  return fields;
}

// currentFilter returns the condition that was chosen, undefined if there is none.
export function currentFilter() {
  if (byID('index').value !== ofIndex) return undefined;
  const parts = [...chosen].filter(([, values]) => values.size).map(([field, values]) => ({ field, in: [...values] }));
  if (!parts.length) return undefined;
  return parts.length === 1 ? parts[0] : { and: parts };
}

// keep remembers counts. Those of a field are kept from when nothing of it was
// chosen, so that the values that were not chosen can still be.
function keep(facets) {
  for (const facet of facets) {
    if (!chosen.get(facet.field)?.size) known.set(facet.field, facet.values ?? []);
  }
}

// showFilters shows what can be chosen. The function again repeats the request.
export function showFilters(area, facets, again) {
  keep(facets);
  const open = area.querySelector('details')?.open ?? false;
  const focused = document.activeElement?.id;
  const count = [...chosen.values()].reduce((n, values) => n + values.size, 0);
  const groups = facets.map(({ field }) => {
    const values = [...(known.get(field) ?? [])];
    for (const value of chosen.get(field) ?? []) {
      if (!values.some((v) => v.value === value)) values.push({ value, count: 0 });
    }
    if (!values.length) return undefined;
    return element('fieldset', {}, element('legend', {}, field), values.map(({ value, count: n }, i) => {
      const id = `facet-${area.id}-${field}-${i}`;
      const change = (event) => {
        const set = chosen.get(field) ?? chosen.set(field, new Set()).get(field);
        if (event.target.checked) set.add(value);
        else set.delete(value);
        again();
      };
      return element('label', { class: 'check', for: id }, element('input', { type: 'checkbox', id, checked: chosen.get(field)?.has(value) ?? false, change }),
        element('span', { dir: 'auto' }, String(value)), element('span', { class: 'meta' }, integer(n)));
    }));
  }).filter(Boolean);
  if (!groups.length) {
    area.replaceChildren();
    return;
  }
  area.replaceChildren(element('details', { class: 'card filters', open }, element('summary', {}, count ? `Filters: ${plural(count, 'value', 'values')} chosen` : 'Filters'),
    element('div', { class: 'facets' }, groups),
    count ? element('button', { type: 'button', click: () => { chosen.clear(); again(); } }, 'Choose none') : ''));
  // The box that was ticked is another element now.
  if (focused?.startsWith('facet-')) byID(focused)?.focus();
}
