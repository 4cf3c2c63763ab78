// Offsets of the API count Unicode code points; JavaScript strings count UTF-16
// units. A character beyond U+FFFF is one of the former and two of the latter.

// unitIndex returns where a code point begins in a string.
export function unitIndex(text, codePoints) {
  let at = 0;
  for (let n = 0; n < codePoints && at < text.length; n++) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return at;
}

// cut divides a text into what comes before, between and after two offsets in
// code points.
export function cut(text, start, end) {
  const from = unitIndex(text, start);
  const to = from + unitIndex(text.slice(from), end - start);
  return [text.slice(0, from), text.slice(from, to), text.slice(to)];
}

// tail and head shorten a text without cutting a character in two.
export function tail(text, units) {
  if (text.length <= units) return text;
  const low = text.charCodeAt(text.length - units);
  return text.slice(text.length - units + (low >= 0xdc00 && low <= 0xdfff ? 1 : 0));
}

export function head(text, units) {
  if (text.length <= units) return text;
  const high = text.charCodeAt(units - 1);
  return text.slice(0, units - (high >= 0xd800 && high <= 0xdbff ? 1 : 0));
}

// codePoints counts the characters of a string.
export function codePoints(text) {
  let n = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    if (text.codePointAt(i) > 0xffff) {
      n--;
      i++;
    }
  }
  return n;
}

// tighten leaves out blank lines, which take much room on a card.
export const tighten = (text) => text.replace(/[ \t]*\n\s*\n/g, '\n');
