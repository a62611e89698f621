// Formulas for markdown-it: $…$ (by pandoc's rule, so that prices are left alone), $$…$$, \(…\), \[…\]. What is not closed,
// as while an answer is being written, is text. https://pandoc.org/MANUAL.html#math, the extension tex_math_dollars

const FORMS = [
  { open: "$$", close: "$$", display: true },
  { open: "\\[", close: "\\]", display: true },
  { open: "\\(", close: "\\)", display: false },
  { open: "$", close: "$", display: false },
];

export function math(md) {
  md.inline.ruler.before("escape", "math", inline);
  md.block.ruler.before("fence", "math", block, { alt: ["paragraph", "reference", "blockquote", "list"] });
}

function inline(state, silent) {
  const form = FORMS.find(({ open }) => state.src.startsWith(open, state.pos));
  if (!form) return false;
  const begin = state.pos + form.open.length;
  const end = closing(state.src, form.close, begin);
  if (end <= begin || end + form.close.length > state.posMax) return false;
  const content = state.src.slice(begin, end);
  if (!content.trim() || (form.open === "$" && !isDollars(content, state.src[end + 1]))) return false;
  if (!silent) push(state, form, content);
  state.pos = end + form.close.length;
  return true;
}

/** Pandoc's: no blank just inside, no digit just after. */
function isDollars(content, after) {
  return !/^\s|\s$/.test(content) && !/\d/.test(after ?? "");
}

/** A displayed formula that begins a line and ends one; over blank lines only where it began on a line of its own. */
function block(state, startLine, endLine, silent) {
  const line = (number) => state.src.slice(state.bMarks[number] + state.tShift[number], state.eMarks[number]).trimEnd();
  if (state.sCount[startLine] - state.blkIndent >= 4) return false;
  const form = FORMS.find(({ open, display }) => display && line(startLine).startsWith(open));
  if (!form) return false;
  const first = line(startLine).slice(form.open.length);
  const lines = [];
  for (let number = startLine; number < endLine; number++) {
    const text = number === startLine ? first : line(number);
    if (number > startLine && text && state.sCount[number] < state.blkIndent) return false;
    if (number > startLine && !text && first.trim()) return false;
    const end = closing(text, form.close, 0);
    if (end >= 0 && end + form.close.length < text.length) return false;
    lines.push(end < 0 ? text : text.slice(0, end));
    if (end < 0) continue;
    if (!lines.join("").trim()) return false;
    if (silent) return true;
    const token = push(state, form, lines.join("\n"));
    token.block = true;
    token.map = [startLine, number + 1];
    state.line = number + 1;
    return true;
  }
  return false;
}

/** Where `close` stands, unescaped, from `begin` on; -1 without one. */
function closing(text, close, begin) {
  for (let at = text.indexOf(close, begin); at >= 0; at = text.indexOf(close, at + 1)) {
    let before = at;
    while (before > begin && text[before - 1] === "\\") before--;
    if ((at - before) % 2 === 0) return at;
  }
  return -1;
}

function push(state, { open, close, display }, content) {
  const token = state.push("math", "span", 0);
  Object.assign(token, { content, markup: open, info: close, meta: { display } });
  return token;
}
