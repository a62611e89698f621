// What the page shows beside the conversation: names for screen readers, light and dark, the banner, a line above the box.

import * as store from "./store.js";

export const $ = (selector) => document.querySelector(selector);

/** What a visitor must know about what is in the box, or was going to be; until the next key. */
export function say(text) {
  const line = $("#said");
  if (line && line.textContent !== text) line.textContent = text;
}

export function banner(text) {
  const element = $("#banner");
  if (!element) return;
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/** The banner says why the model cannot be used, and goes when it can. */
export async function watch() {
  let pause = 60_000;
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    const body = await response.json();
    const troubles = JSON.parse($('meta[name="chatbot:troubles"]').content);
    // A site that was given no model is ready, and says so all the same.
    banner(troubles[body.kind] ?? (response.ok ? "" : troubles.backend));
    if (!response.ok) pause = 5_000;
  } catch {
    pause = 15_000; // a server that is being replaced; the next message will tell
  }
  setTimeout(watch, document.hidden ? 300_000 : pause);
}

/** Names and roles that Gradio's components leave out, for screen readers. */
export function tidy() {
  $("#box .submit-button")?.setAttribute("aria-label", "Send");
  $("#box .stop-button")?.setAttribute("aria-label", "Stop");
  $("#chat .edit-textarea")?.setAttribute("aria-label", "Edit your message");
  for (const area of document.querySelectorAll("#box textarea, #chat .edit-textarea")) area.dir = "auto";
  $("#chat .examples")?.setAttribute("role", "group");
  $("#chat .examples")?.setAttribute("aria-label", "Examples");
  $("#chat .placeholder-content")?.removeAttribute("role");
  $("#sidebar .toggle-button")?.setAttribute("aria-label", "Conversations");
  $("#sidebar .toggle-button")?.setAttribute("aria-expanded", String(Boolean($("#sidebar.open"))));
}

export const narrow = () => matchMedia("(max-width: 768px)").matches;

/** On a phone the list covers the conversation; it opens on demand only. */
export function closeList() {
  if (narrow()) $("#sidebar.open .toggle-button")?.click();
}

export function appearance() {
  const chosen = store.setting("appearance");
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.body.classList.toggle("dark", dark);
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("#dark")) return;
  store.set("appearance", document.body.classList.contains("dark") ? "light" : "dark");
  appearance();
});
