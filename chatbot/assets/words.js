// What is written, as the page shows it. A question is shown as it was typed. An answer is Markdown whose HTML is text
// (markdown-it's own switch): nothing that a model says is an element but those that Markdown makes. chatbot/rendering.py
// has Gradio's page call `blocks`.

import { math } from "./math.js";
import { MarkdownIt, tasklist } from "./vendor/markdown.js";

const md = new MarkdownIt({ html: false, breaks: true, linkify: true });
md.inline.ruler.disable("linkify"); // which would take signs of Markdown into an address: it is found in text, at the end
md.linkify.set({ fuzzyLink: false, fuzzyEmail: false }); // main.py is no address
md.normalizeLinkText = (text) => text; // an address is seen as it was written
md.use(tasklist, { label: false }).use(math);
md.core.ruler.push("page", page);

const ALIASES = new Map(Object.entries({
  "c++": "cpp", golang: "go", js: "javascript", py: "python", rs: "rust", sh: "bash", shell: "bash", tex: "latex", yml: "yaml",
}));
const BUILT_ON = new Map([["cpp", "c"], ["php", "markup-templating"]]);
// https://katex.org/docs/options: no links, nothing larger than a line's width, no macro that never ends
const FORMULA = { throwOnError: false, trust: false, strict: "ignore", maxSize: 20, maxExpand: 200 };

/**
 * The blocks of a message as Gradio's page draws them: those whose key is new are drawn, the others stay. `place` is the
 * message's element; `tools` are Gradio's: `highlight`, `copy` (the button in a block of code), `katex`.
 */
export function blocks(text, place, tools) {
  if (place?.closest("[data-testid=user]")) return whole(text);
  try {
    const env = { copy: tools.copy };
    const drawn = grouped(md.parse(text, env)).map((tokens) => md.renderer.render(tokens, md.options, env));
    return { context: "", blocks: drawn.map((html) => ({ key: html, render: () => rendered(html, tools) })) };
  } catch (error) {
    console.error(error);
    return whole(text);
  }
}

function whole(text) {
  const made = document.createDocumentFragment();
  const typed = document.createElement("div");
  typed.className = "typed";
  typed.dir = "auto";
  typed.textContent = text;
  made.append(typed);
  return { context: "typed", blocks: [{ key: text, render: async () => made }] };
}

/** The tokens of each block at the top. */
function grouped(tokens) {
  const found = [];
  for (const token of tokens) {
    if (token.level === 0 && token.nesting >= 0) found.push([]);
    found.at(-1).push(token);
  }
  return found;
}

async function rendered(html, tools) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const colours = [...template.content.querySelectorAll("pre > code[class]")].map((code) => colour(code, tools.highlight));
  const formulas = [...template.content.querySelectorAll(".formula")];
  await Promise.all([...colours, formulas.length && draw(formulas, tools.katex)]);
  return template.content;
}

async function colour(code, highlight) {
  const name = code.className.slice("language-".length).toLowerCase();
  const language = ALIASES.get(name) ?? name;
  try {
    if (BUILT_ON.has(language)) await highlight("", BUILT_ON.get(language));
    const coloured = await highlight(code.textContent, language);
    if (coloured !== code.textContent) code.innerHTML = coloured;
  } catch (error) {
    console.error(error); // it is read without colours too
  }
}

async function draw(formulas, load) {
  try {
    const katex = await load();
    for (const place of formulas) {
      katex.render(place.dataset.tex, place, { ...FORMULA, displayMode: place.classList.contains("display") });
    }
  } catch (error) {
    console.error(error); // then the page shows how it is written
  }
}

/** Loads a stylesheet once. */
export function style(url) {
  if (document.querySelector(`link[rel=stylesheet][href="${url}"]`)) return;
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href: String(url) });
  document.head.append(link);
}

// --- what markdown-it leaves to its renderers

const escape = md.utils.escapeHtml;

md.renderer.rules.math = (tokens, index) => {
  const { content, markup, info, meta, block } = tokens[index];
  const name = meta.display ? "formula display" : "formula";
  const source = `<span class="${name}" data-tex="${escape(content)}">${escape(markup + content + info)}</span>`;
  return block ? `<p>${source}</p>` : source;
};

md.renderer.rules.fence = md.renderer.rules.code_block = (tokens, index, _options, env) => {
  const [, language] = /^([\w+#.-]+)/.exec(tokens[index].info) ?? [];
  const name = language ? ` class="language-${language}"` : "";
  return `<div class="code_wrap" dir="ltr">${env.copy}<pre><code${name}>${escape(tokens[index].content)}</code></pre></div>\n`;
};

/** Pictures are a link to where they are: nothing is loaded from another host, nor shown as the page's own. */
md.renderer.rules.image = (tokens, index, options, env, renderer) => {
  const token = tokens[index];
  const address = token.attrGet("src");
  const name = renderer.renderInlineAsText(token.children, options, env) || address;
  const linked = token.meta?.linked || address.startsWith("data:");
  return linked ? escape(name) : `<a ${attributes(address, name)}>${escape(name)}</a>`;
};

/** Of a link: it opens apart, and says where it goes, unless its text is that. */
function attributes(address, text) {
  const bare = (name) => name.replace(/^\w+:(\/\/)?/, "").replace(/\/$/, "");
  const goes = bare(text) === bare(address) ? "" : destination(address);
  const host = goes ? ` data-host="${escape(goes)}"` : "";
  return `href="${escape(address)}" title="${escape(address)}" target="_blank" rel="noopener noreferrer"${host}`;
}

function destination(address) {
  try {
    const url = new URL(address, location.href);
    return url.host || decodeURIComponent(url.pathname);
  } catch {
    return address;
  }
}

md.renderer.rules.link_open = (tokens, index) => {
  const text = tokens.slice(index + 1, tokens.findIndex((token, at) => at > index && token.type === "link_close"));
  return `<a ${attributes(tokens[index].attrGet("href"), text.map((token) => token.content).join(""))}>`;
};

// --- after parsing

const STRONG = /\p{L}/u;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** Each block goes in the direction of its first letter; boxes of tasks have a name; pictures know whether they are in a link. */
function page(state) {
  const open = [];
  for (const token of state.tokens) {
    if (token.type === "inline") {
      const letter = STRONG.exec(plain(token.children))?.[0];
      if (letter) for (const block of open.splice(0)) block.attrSet("dir", RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr");
      children(token.children);
    } else if (token.nesting > 0) open.push(token);
    else while (open.at(-1)?.level >= token.level) open.pop();
  }
}

const plain = (tokens) =>
  tokens.map((token) => (token.children ? plain(token.children) : token.type === "code_inline" ? "" : token.content)).join("");

function children(tokens) {
  let depth = 0;
  for (const token of tokens) {
    if (token.type === "link_open") depth++;
    if (token.type === "link_close") depth--;
    if (token.type === "image") token.meta = { linked: depth > 0 };
    if (token.type !== "checkbox_input") continue;
    token.attrs = token.attrs.filter(([name]) => name !== "id");
    token.attrSet("aria-label", token.attrGet("checked") ? "Done" : "To do");
  }
}
