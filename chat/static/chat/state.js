// What the page remembers: facts from the server for this visit, and the person's own choices between visits.
// Choices are kept per user, so that two people on one computer never see each other's drafts.

export const page = document.body.dataset;

// Filled once by `GET /api/state/`; see `load` in page.js.
export const site = {
  user: null,
  model: null,
  settings: {},
  consent: "unknown",
  training: false,
  teach: "", // for curators: the address at which an answer becomes an example
  reasons: { up: [], down: [] },
};

const key = (name) => `chatsite.${page.user}.${name}`;

export function recall(name, otherwise = null) {
  try {
    const kept = localStorage.getItem(key(name));
    return kept === null ? otherwise : JSON.parse(kept);
  } catch {
    return otherwise; // storage may be forbidden or hold something else
  }
}

export function remember(name, value) {
  try {
    if (value === null || value === "") localStorage.removeItem(key(name));
    else localStorage.setItem(key(name), JSON.stringify(value));
  } catch {
    // full or forbidden: then it holds for this page only
  }
}
