// An answer's blocks as pieces that are quick to make, and the page brought in step with them piece by piece.
// A long list, table, quotation or paragraph is a shell with pieces inside, so its growth costs what is new in it.
// Knows no time limits of its own and nothing of answers.
import { marked } from "../vendor/marked/marked.esm.js";
import { toDom } from "./markdown.js";

const SMALL_CHARS = 800; // made in about a millisecond, with its layout
const ROWS = (fragment) => fragment.querySelector("tbody").childNodes;

// A piece: its HTML; `inside`, the pieces that its shell holds; `pick`, what of the made fragment is wanted.
// Equal HTML means equal nodes, so nothing else is compared.
export const piecesOf = (tokens) => tokens.flatMap(pieceOf).filter((piece) => piece.html);

function pieceOf(token) {
  if (token.raw.length > SMALL_CHARS) {
    if (token.type === "paragraph") return shell(marked.parser([{ ...token, tokens: [] }]), inline(token.tokens));
    if (token.type === "text" && token.tokens) return inline(token.tokens);
    if (token.type === "blockquote") return shell(marked.parser([{ ...token, tokens: [] }]), piecesOf(token.tokens));
    if (token.type === "list") return shell(marked.parser([{ ...token, items: [] }]), runs(token.items).map(itemsOf));
    if (token.type === "table") return table(token);
  }
  return { html: marked.parser([token]) };
}

const shell = (html, inside) => ({ html, inside });

const inline = (tokens) => runs(tokens).map((run) => ({ html: marked.Parser.parseInline(run) }));

function itemsOf(run) {
  const html = run.map(({ tokens }) => `<li>${marked.parser(tokens)}</li>\n`).join("");
  const isBig = run.length === 1 && run[0].raw.length > SMALL_CHARS;
  return isBig ? shell("<li></li>\n", piecesOf(run[0].tokens)) : { html };
}

function table(token) {
  const head = marked.parser([{ ...token, rows: [] }]).replace(/<\/table>\n$/, "<tbody></tbody></table>\n");
  const rows = runs(token.rows, (row) => row.map((cell) => cell.text).join("")).map((run) => ({
    html: marked.parser([{ ...token, header: [], rows: run }]),
    pick: ROWS,
  }));
  return shell(head, rows);
}

// Neighbours in groups of about SMALL_CHARS. More at the end changes the last group only.
function runs(parts, textOf = (part) => part.raw) {
  const groups = [];
  let room = 0;
  for (const part of parts) {
    if (room <= 0) {
      groups.push([]);
      room = SMALL_CHARS;
    }
    groups.at(-1).push(part);
    room -= textOf(part).length + 1;
  }
  return groups;
}

// Makes the children of `parent` from index `from` on what `wanted` says. `made` has the parts that stand there and is
// kept up to date. Returns whether it got to the end before `deadline`; if not, call it again.
export function patch(parent, made, wanted, deadline, from = 0) {
  for (let index = 0; index < wanted.length; index += 1) {
    const piece = wanted[index];
    const place = from + index;
    if (!isSame(made[place], piece)) {
      if (performance.now() > deadline) return false;
      replace(parent, made, place, piece);
    }
    const part = made[place];
    if (piece.inside && !patch(part.body, part.inside, piece.inside, deadline)) return false;
  }
  for (const part of made.splice(from + wanted.length)) remove(part);
  return true;
}

const isSame = (part, piece) => part?.html === piece.html && Boolean(part.inside) === Boolean(piece.inside);

function replace(parent, made, place, piece) {
  const fragment = toDom(piece.html);
  const nodes = [...(piece.pick ? piece.pick(fragment) : fragment.childNodes)];
  if (!nodes.length) nodes.push(document.createTextNode("")); // it keeps the place
  const part = { html: piece.html, nodes };
  if (piece.inside) {
    part.inside = [];
    part.body = fragment.querySelector("tbody") ?? fragment.firstElementChild;
  }
  const old = made[place];
  if (old) {
    old.nodes[0].before(...nodes);
    remove(old);
  } else {
    parent.append(...nodes);
  }
  made[place] = part;
}

const remove = (part) => part.nodes.forEach((node) => node.remove());
