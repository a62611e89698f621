// The list of conversations beside the chat: open, rename, export, delete.

import * as store from "./store.js";

let drawn = ""; // what the list shows now
let page; // what the list asks of the page

export function connect(callbacks) {
  page = callbacks;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const button = (label, onclick, attributes = {}) => element("button", { type: "button", onclick, ...attributes }, label);

/** Draw the list anew; `current` is the open conversation's id. */
export function render(current) {
  const place = document.querySelector("#conversations");
  if (!place) return void setTimeout(() => render(page.current()), 100);
  const found = store.all();
  if (place.querySelector("input, details[open]")) return; // not under the visitor's hands
  const now = JSON.stringify([current, found.map(({ id, title }) => [id, title])]);
  if (now === drawn && place.hasChildNodes()) return; // a click on a row that is replaced meanwhile would be lost
  drawn = now;
  place.replaceChildren(
    found.length
      ? element("ul", {}, ...found.map((conversation) => row(conversation, conversation.id === current)))
      : element("p", {}, "Your conversations will be listed here. They stay in this browser."),
  );
}

function row(conversation, isCurrent) {
  const name = button(conversation.title, () => page.show(conversation.id), {
    class: "open",
    dir: "auto",
    title: conversation.title,
    ...(isCurrent ? { "aria-current": "page" } : {}),
  });
  return element("li", { class: isCurrent ? "current" : "" }, name, menu(conversation));
}

function menu(conversation) {
  const act = (label, action) =>
    button(label, (event) => {
      event.target.closest("details").open = false;
      page.flush();
      action(event.target.closest("li"));
    });
  return element(
    "details",
    { name: "conversation-menu" },
    element("summary", { "aria-label": `Actions for ${conversation.title}`, title: "Actions" }, "⋯"),
    element(
      "div",
      { class: "menu" },
      act("Rename", (item) => rename(conversation.id, item)),
      act("Export as Markdown", () => save(conversation.id, "md")),
      act("Export as JSON", () => save(conversation.id, "json")),
      act("Delete", () => remove(conversation.id)),
    ),
  );
}

function rename(id, item) {
  const conversation = store.get(id);
  const field = element("input", { "aria-label": "Name of the conversation", maxlength: "80", dir: "auto" });
  field.value = conversation.title;
  let done = false;
  const finish = (keep) => {
    if (done) return;
    done = true;
    const title = field.value.trim();
    if (keep && title) store.rename(id, title);
    field.remove();
    render(page.current());
    document.querySelector("#conversations .open[aria-current]")?.focus();
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "Escape") {
      event.stopPropagation();
      finish(event.key === "Enter");
    }
  });
  field.addEventListener("blur", () => finish(true));
  item.replaceChildren(field);
  field.select();
}

function remove(id) {
  const { title } = store.get(id) ?? {};
  if (!confirm(`Delete "${title}"? This cannot be undone.`)) return;
  store.remove(id);
  render(page.current());
  page.removed(id);
}

function save(id, kind) {
  const conversation = store.get(id);
  const text = kind === "md" ? store.markdown(conversation) : JSON.stringify(store.plain(conversation), null, 2) + "\n";
  const type = kind === "md" ? "text/markdown" : "application/json";
  const link = element("a", {
    href: URL.createObjectURL(new Blob([text], { type })),
    download: `${conversation.title.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40) || "conversation"}.${kind}`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A click elsewhere, or Escape, closes an open menu.
document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("#conversations details[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector("#conversations details[open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});
