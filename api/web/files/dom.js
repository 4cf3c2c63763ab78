// Elements are made here and nowhere else. Strings become text nodes, never
// HTML, because they come from documents that strangers wrote.

export const byID = (id) => document.getElementById(id);

// element makes an element. Properties that are functions are event listeners;
// undefined and false ones are left out. Children are elements or strings.
export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (typeof value === 'function') node.addEventListener(key, value);
    else if (key === 'class') node.className = value;
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== ''));
  return node;
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat('en', { maximumFractionDigits: 3 });

export const integer = (n) => whole.format(n);
export const decimal = (n) => exact.format(n);
export const percent = (p) => {
  if (p > 0 && p < 0.01) return 'under 1 %';
  if (p < 1 && p > 0.99) return 'over 99 %';
  return `${whole.format(p * 100)} %`;
};
export const plural = (n, one, many) => `${whole.format(n)} ${n === 1 ? one : many}`;
export const milliseconds = (ms) => (ms < 1000 ? `${whole.format(Math.max(ms, 1))} ms` : `${decimal(Math.round(ms / 10) / 100)} s`);

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  for (; n >= 1024 && at < units.length - 1; at++) n /= 1024;
  return `${n < 10 && at > 0 ? n.toFixed(1) : whole.format(n)} ${units[at]}`;
}

// svg makes an element of a drawing.
export function svg(name, properties = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(properties)) node.setAttribute(key, String(value));
  node.append(...children);
  return node;
}
