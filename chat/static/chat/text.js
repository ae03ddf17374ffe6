// Text as the wire counts it: in Unicode code points, not in JavaScript's UTF-16 units.

function offset(text, points) {
  let index = 0;
  for (; points > 0 && index < text.length; points -= 1) index += text.codePointAt(index) > 0xffff ? 2 : 1;
  return index;
}

export function count(text) {
  let points = 0;
  for (const _ of text) points += 1;
  return points;
}

export const head = (text, points) => text.slice(0, offset(text, points));

export const tail = (text, points) => text.slice(offset(text, points));

// The first 16 hex digits of sha256 over the UTF-8 text; null where the browser has no subtle crypto (plain http).
export async function hash(text) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest, 0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// crypto.randomUUID is missing on plain http, so version 4 is made by hand.
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
