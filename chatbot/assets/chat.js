// The page's own behaviour: everything about conversations happens here, in the browser; the server keeps none.
// The functions that the page's events call (ask, keep, …) take and return the values of Gradio components.

import * as store from "./store.js";
import * as list from "./list.js";

const $ = (selector) => document.querySelector(selector);
const SAVE_MS = 400;
const STRAGGLERS_MS = 250;
const BELATED_MS = 150;
const UNCHANGED = [{ __type__: "update" }, { __type__: "update" }];

let current = store.setting("current") || store.newId();
let answering = false;
let stopping = false; // between the click on Stop and the end of the answer
let over = null; // the conversation whose answer was stopped, until the next answer begins
let told = "idle"; // the state of the line below the conversation, where the page itself set it last
let looking = 0; // a look at what came of that answer after all
let afterStop = null; // what to do once a running answer has stopped
let tidying = 0; // names are added once per frame, however many changes
let saving = null; // messages that wait to be written

const notice = (state, text = "") => {
  const line = document.createElement("p");
  line.setAttribute("role", "status");
  line.dataset.state = state;
  line.textContent = text;
  return line.outerHTML;
};
const box = (more) => ({ __type__: "update", submit_btn: true, stop_btn: false, ...more });

// --- messages: ours are {role, text}; Gradio's content is a string or a list of parts

const textOf = (content) =>
  typeof content === "string" ? content
    : Array.isArray(content) ? content.map(textOf).filter(Boolean).join("\n")
    : typeof content?.text === "string" ? content.text : "";
const toOurs = (history) =>
  (history ?? []).map((item) => ({ role: item.role, text: textOf(item.content) })).filter((item) => item.text);
const toGradio = (messages) =>
  messages.map(({ role, text }) => ({ role, metadata: null, options: null, content: [{ type: "text", text }] }));

// --- called by the page's events

/** A visitor sends a message: it shows at once, before the server knows. */
export function ask(text, history) {
  if (answering || !text?.trim()) return [text, history];
  store.setTab("draft", "");
  over = null;
  return ["", [...(history ?? []), ...toGradio([{ role: "user", text: text.trim() }])]];
}

/** An answer begins. */
export function began(...values) {
  over = null;
  state("answering");
  return values;
}

/** An answer ended, well or with a notice that says why not. */
export function settled(line) {
  if (!answering || stopping) return UNCHANGED;
  ended(line?.includes('data-state="failed"') ? "failed" : "idle");
  return [box(), line];
}

/** The server did not take the question; Gradio shows its reason. */
export function failed() {
  if (!answering || stopping) return UNCHANGED;
  ended("failed");
  return [box(), notice("failed", "Your message was not answered.")];
}

/** A visitor stopped an answer. */
export async function stopped() {
  // Gradio tells of the same end up to three times, in any order; the next answer must not take one for its own.
  await new Promise((resolve) => setTimeout(resolve, STRAGGLERS_MS));
  stopping = false;
  over = current;
  told = "stopped";
  ended("idle");
  return [box(), notice("stopped", "Stopped.")];
}

/**
 * What the server had sent before it heard of the stop may arrive after it, on a slow line or a busy machine. It is neither
 * kept nor left standing: what was kept at the stop is shown again.
 */
function belated() {
  const late = () => over && !answering && $("#notice p")?.dataset.state !== told;
  if (looking || !late()) return;
  looking = setTimeout(() => {
    looking = 0;
    if (late()) $("#load").click();
  }, BELATED_MS);
}

function ended(name) {
  state(name);
  flush();
  const then = afterStop;
  afterStop = null;
  if (then) setTimeout(then);
}

/** Keep the conversation as it is now; called on every change, written a few times a second. */
export function keep(history, id) {
  if (over && !answering) return; // belated
  const messages = toOurs(history);
  id ||= current;
  if (saving && saving.id !== id) flush();
  if (saving) saving.messages = messages;
  else {
    saving = { id, messages };
    setTimeout(flush, SAVE_MS);
  }
}

/** Begin a conversation. */
export function fresh() {
  open(store.newId());
  return shown();
}

/** What the page shows of the current conversation. */
export function shown() {
  const messages = store.get(current)?.messages ?? [];
  if (told === "stopped") return [toGradio(messages), notice("stopped", "Stopped."), current]; // nothing was opened since
  setTimeout(closeList);
  if (!narrow()) setTimeout(() => $("#box textarea")?.focus()); // on a phone it would open the keyboard
  const unanswered = messages.at(-1)?.role === "user";
  told = unanswered ? "failed" : "idle";
  state(told);
  const line = notice(told, unanswered ? "This question has no answer yet." : "");
  return [toGradio(messages), line, current];
}

/** The page as it was before a reload. Gradio reloads it by itself when it lost its server and found one again. */
export function loaded() {
  const interrupted = store.tab("answering") === current;
  const [messages, line, id] = shown();
  const draft = store.tab("draft") ?? "";
  const unanswered = messages.at(-1)?.role === "user";
  if (interrupted && unanswered) askOnceMore(`${current} ${messages.length}`);
  if (!interrupted || !messages.length || unanswered) return [messages, line, id, draft];
  state("failed");
  return [messages, notice("failed", "The connection was lost. What had arrived is kept."), id, draft];
}

/**
 * Nothing had arrived when the server was lost: the question is asked again without the visitor's doing, once. So it is when
 * the load balancer sent the question to one task and the request for its answer to another, as in the middle of a release.
 */
function askOnceMore(question) {
  if (store.tab("asked") === question) return;
  store.setTab("asked", question);
  const shownYet = () => ($("#chat [data-testid=user]") ? $("#again").click() : setTimeout(shownYet, 50));
  shownYet();
}

// --- judgements

let judging = Promise.resolve(); // until the one before has arrived
const underWay = []; // for each that has not, what lets the next one leave

/** A visitor judges an answer: one at a time, since the network may bring two requests in another order. */
export async function judge(...values) {
  const before = judging;
  judging = new Promise((arrived) => underWay.push(arrived));
  await before;
  return values;
}

/** The server has it, or will not have it. */
export function judged() {
  underWay.shift()?.();
}

// --- conversations

function flush() {
  if (!saving) return;
  const { id, messages } = saving;
  saving = null;
  const known = store.get(id);
  if (!messages.length) return;
  if (id === current) store.set("current", id);
  if (known && JSON.stringify(known.messages) === JSON.stringify(messages)) return;
  const title = known?.title ?? messages[0].text.replace(/\s+/g, " ").slice(0, 48);
  if (!store.put({ id, title, updated: Date.now(), messages })) {
    banner("This browser has no room left for conversations. Delete some, or export them.");
  }
  list.render(current);
}

function open(id) {
  flush();
  current = id;
  told = "";
  store.set("current", id);
  list.render(current);
}

function show(id) {
  const now = () => {
    open(id);
    $("#load").click();
  };
  if (!answering) return now();
  afterStop = now;
  stop();
}

list.connect({
  show,
  removed: (id) => id === current && show(store.newId()),
  current: () => current,
  flush,
});

// --- the page

function state(name) {
  answering = name === "answering";
  document.body.dataset.state = name;
  store.setTab("answering", answering ? current : "");
  $("#chat")?.setAttribute("aria-busy", String(answering));
}

/** Stop the answer that is being written; as soon as Gradio has the button for it, which is a moment after its start. */
function stop() {
  const button = $("#box .stop-button");
  if (button) button.click();
  else if (answering) setTimeout(stop, 50);
}

function banner(text) {
  const element = $("#banner");
  if (!element) return;
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/** The banner says why the model cannot be used, and goes when it can. */
async function watch() {
  let pause = 60_000;
  try {
    const response = await fetch("/readyz", { cache: "no-store" });
    const body = response.ok ? {} : await response.json();
    banner(body.reason ?? "");
    if (!response.ok) pause = 5_000;
  } catch {
    pause = 15_000; // a server that is being replaced; the next message will tell
  }
  setTimeout(watch, document.hidden ? 300_000 : pause);
}

function keys(event) {
  const area = $("#box textarea");
  const edited = event.target.closest(".edit-textarea");
  if (edited && (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey))) {
    event.preventDefault();
    const name = event.key === "Enter" ? "Submit" : "Cancel";
    $(`#chat .message-buttons button[aria-label="${name}"]`)?.click();
    area.focus();
  } else if (event.key === "Escape" && answering) {
    event.preventDefault();
    stop();
  } else if (event.key === "ArrowUp" && event.target === area && !area.value && !answering) {
    const last = [...document.querySelectorAll('#chat button[aria-label="Edit"]')].at(-1);
    if (last) {
      event.preventDefault();
      last.click();
      setTimeout(() => $("#chat .edit-textarea")?.focus(), 50);
    }
  }
}

/** One answer at a time: what is sent while another one is written stays in the box. */
function hold(event) {
  if (!answering || event.target !== $("#box textarea") || event.isComposing) return;
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  event.stopPropagation();
}

/** Names and roles that Gradio's components leave out, for screen readers. */
function tidy() {
  tidying = 0;
  belated();
  $("#box .submit-button")?.setAttribute("aria-label", "Send");
  $("#box .stop-button")?.setAttribute("aria-label", "Stop");
  $("#chat .edit-textarea")?.setAttribute("aria-label", "Edit your message");
  $("#chat .examples")?.setAttribute("role", "group");
  $("#chat .examples")?.setAttribute("aria-label", "Examples");
  $("#chat .placeholder-content")?.removeAttribute("role");
  $("#sidebar .toggle-button")?.setAttribute("aria-label", "Conversations");
  $("#sidebar .toggle-button")?.setAttribute("aria-expanded", String(Boolean($("#sidebar.open"))));
}

const narrow = () => matchMedia("(max-width: 768px)").matches;

/** On a phone the list covers the conversation; it opens on demand only. */
function closeList() {
  if (narrow()) $("#sidebar.open .toggle-button")?.click();
}

function appearance() {
  const chosen = store.setting("appearance");
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.body.classList.toggle("dark", dark);
}

document.addEventListener("keydown", keys);
document.addEventListener("keydown", hold, true); // before Gradio's own
document.addEventListener("input", (event) => event.target.closest("#box") && store.setTab("draft", event.target.value));
document.addEventListener("click", (event) => {
  if (event.target.closest("#box .stop-button")) stopping = true;
  if (event.target.closest("#chat .example")) over = null;
  if (!event.target.closest("#dark")) return;
  store.set("appearance", document.body.classList.contains("dark") ? "light" : "dark");
  appearance();
});
addEventListener("pagehide", flush);
new MutationObserver(() => (tidying ||= requestAnimationFrame(tidy))).observe(document.body, {
  childList: true,
  subtree: true,
  attributeFilter: ["class"],
});
tidy();
appearance();
watch();
setTimeout(() => list.render(current));
