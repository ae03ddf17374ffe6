// Colours code away from the page's thread: {id, text, language} in, {id, pieces} out, pieces null for a language that
// it does not know. A piece is HTML that stands for itself.
import hljs from "../vendor/highlight/highlight.min.js";

const PIECE_CHARS = 2_000;

// Cut only where no span is open.
function cut(html) {
  const pieces = [];
  let [start, depth] = [0, 0];
  for (const { 0: tag, index } of html.matchAll(/<\/?span[^>]*>/g)) {
    depth += tag[1] === "/" ? -1 : 1;
    const end = index + tag.length;
    if (depth || end - start < PIECE_CHARS) continue;
    pieces.push(html.slice(start, end));
    start = end;
  }
  return [...pieces, html.slice(start)];
}

addEventListener("message", ({ data: { id, text, language } }) => {
  const isKnown = Boolean(hljs.getLanguage(language));
  const pieces = isKnown ? cut(hljs.highlight(text, { language, ignoreIllegals: true }).value) : null;
  postMessage({ id, pieces });
});
