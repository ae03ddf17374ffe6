// An answer's text as safe DOM: marked makes HTML, DOMPurify keeps only what is listed here, then code blocks get
// their frame. Raw HTML in an answer is shown as the text it is; pictures become links, so nothing is loaded.
import { marked } from "../vendor/marked/marked.esm.js";
import "../vendor/dompurify/purify.min.js";
import { el, icon } from "./dom.js";
import { gettext } from "./i18n.js";

const purify = globalThis.DOMPurify;
const HIGHLIGHT_LIMIT = 50_000; // characters of one block; more would hold up the page

const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["align", "class", "href", "start", "title"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};

const escaped = (text) =>
  text.replace(/[&<>"']/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[sign]);

// CommonMark does not see the end of **bold：** when a Han character follows the punctuation; readers do.
const boldBesideHan = {
  name: "strong",
  level: "inline",
  start: (source) => source.indexOf("**"),
  tokenizer(source) {
    const match = /^\*\*(?=[^\s*])([^*\n]*[^\s*])\*\*(?=[\u2e80-\u9fff\uf900-\uffef])/.exec(source);
    if (!match) return undefined;
    return { type: "strong", raw: match[0], text: match[1], tokens: this.lexer.inlineTokens(match[1]) };
  },
};

marked.use({
  gfm: true,
  breaks: true,
  extensions: [boldBesideHan],
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

export const blocks = (text) => marked.lexer(text);

function framed(pre) {
  const code = pre.querySelector("code");
  const language = /language-([\w+#.-]+)/.exec(code?.className ?? "")?.[1] ?? "";
  const label = el("span", {}, gettext("Copy"));
  const copy = el("button", { type: "button" }, icon("copy"), label);
  copy.addEventListener("click", async () => {
    await copyText(pre.textContent);
    label.textContent = gettext("Copied");
    setTimeout(() => (label.textContent = gettext("Copy")), 1600);
  });
  const frame = el("div", { class: "code" }, el("div", { class: "code-head" }, el("span", {}, language || "text"), copy));
  pre.replaceWith(frame);
  pre.tabIndex = 0; // a long line is scrolled by keyboard
  frame.append(pre);
}

export function toDom(html) {
  const fragment = purify.sanitize(html, ALLOWED);
  for (const pre of fragment.querySelectorAll("pre")) framed(pre);
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  return fragment;
}

// Lets the page answer the person between two pieces of work.
const breath = () => new Promise((resolve) => setTimeout(resolve));

let highlighter = null; // started at the first code block
let asked = 0;

// The coloured code as pieces of HTML, or null.
function coloured(text, language) {
  highlighter ??= new Worker(new URL("highlighter.js", import.meta.url), { type: "module" });
  const worker = highlighter;
  const id = (asked += 1);
  return new Promise((resolve) => {
    const take = ({ data }) => data.id === id && finish(data.pieces);
    const fail = () => finish(null);
    const finish = (pieces) => {
      worker.removeEventListener("message", take);
      worker.removeEventListener("error", fail);
      resolve(pieces);
    };
    worker.addEventListener("message", take);
    worker.addEventListener("error", fail);
    worker.postMessage({ id, text, language });
  });
}

// Colours finished code blocks. The plain text of a long one gives way piece by piece.
export async function highlight(root) {
  for (const code of root.querySelectorAll('pre > code[class*="language-"]')) {
    const [rest] = code.childNodes;
    const isPlain = code.childNodes.length === 1 && rest.nodeType === Node.TEXT_NODE;
    if (!isPlain || rest.length > HIGHLIGHT_LIMIT) continue;
    const [, language] = /language-([\w+#.-]+)/.exec(code.className) ?? [];
    for (const html of (language && (await coloured(rest.data, language))) ?? []) {
      const piece = purify.sanitize(html, ALLOWED);
      rest.deleteData(0, piece.textContent.length);
      rest.before(piece);
      await breath();
    }
    if (!rest.length) rest.remove();
  }
}

// The clipboard API is missing on plain http.
export async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const box = el("textarea", { class: "visually-hidden", readonly: true });
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}
