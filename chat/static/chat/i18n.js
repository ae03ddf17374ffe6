// The page's words in the person's language. Django's catalogue, a classic script, fills `globalThis.django`;
// without it the English source is shown.
const catalogue = globalThis.django ?? {};

export const language = document.documentElement.lang;

export function gettext(message) {
  return catalogue.gettext ? catalogue.gettext(message) : message;
}

export function ngettext(one, many, number) {
  if (catalogue.ngettext) return catalogue.ngettext(one, many, number);
  return number === 1 ? one : many;
}

// fill("%(n)s left", {n: 3}) -> "3 left"
export function fill(message, values) {
  return message.replace(/%\((\w+)\)s/g, (_, name) => String(values[name]));
}

export const number = (value) => new Intl.NumberFormat(language).format(value);
