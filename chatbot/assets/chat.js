// The page's own behaviour: everything about conversations happens here, in the browser; the server keeps none.
// The functions that the page's events call (ask, keep, …) take and return the values of Gradio components.

import * as store from "./store.js";
import * as list from "./list.js";
import { $, appearance, banner, closeList, narrow, say, tidy, watch } from "./looks.js";

const SAVE_MS = 400;
const STRAGGLERS_MS = 250;
const BELATED_MS = 150;
const ELSEWHERE_MS = 300; // after another tab's last change
const UNCHANGED = [{ __type__: "update" }, { __type__: "update" }];

let current = store.tab("current") || store.setting("current") || store.newId();
let asking = false; // between a question and the beginning of its answer
let answering = false;
let stopping = false; // between the click on Stop and the end of the answer
let over = null; // the conversation whose answer was stopped, until the next answer begins
let told = "idle"; // the state of the line below the conversation, where the page itself set it last
let looking = 0; // a look at what came of that answer after all
let given = ""; // what was last taken from storage to be shown: not to be written, since another tab may be at it
let following = false; // what is shown next is another tab's doing
let elsewhereDue = 0; // a look at what another tab did
const apart = new Map(); // conversations that went on in two tabs, and what this tab's is called since
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
  if (answering || !text?.trim() || tooLong(text)) return [text, history];
  store.setTab("draft", "");
  say("");
  begins();
  asking = true;
  const stored = saving ? null : store.get(current);
  if (stored && store.isNews(stored)) history = toGradio(store.read(stored).messages); // another tab went on a moment ago
  return ["", [...(history ?? []), ...toGradio([{ role: "user", text }])]];
}

/** An answer begins. */
export function began(...values) {
  begins();
  state("answering");
  return values;
}

/** From here on what the page shows is this tab's own. */
function begins() {
  over = null;
  given = "";
}

/** An answer ended, well or with a notice that says why not. */
export function settled(history, id, line) {
  if (!answering || stopping) return UNCHANGED;
  keep(history, id);
  ended(line?.includes('data-state="failed"') ? "failed" : "idle");
  return [box(), line];
}

/** The server did not take the question; Gradio shows its reason. */
export function failed(history, id) {
  if (!answering || stopping) return UNCHANGED;
  keep(history, id);
  ended("failed");
  return [box(), notice("failed", "Your message was not answered.")];
}

/** A visitor stopped an answer. */
export async function stopped(history, id) {
  if (answering) keep(history, id);
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
  id = apart.get(id || current) ?? (id || current);
  if (saving && saving.id !== id) flush();
  if (!answering && JSON.stringify(messages) === given) saving = null;
  else if (saving) saving.messages = messages;
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
  const stored = store.get(current);
  const messages = stored ? store.read(stored).messages : [];
  given = JSON.stringify(messages);
  // Not opened: an answer's late remains are taken back, or another tab's words arrive.
  if (told === "stopped") return [toGradio(messages), notice("stopped", "Stopped."), current];
  const unanswered = messages.at(-1)?.role === "user" && !following; // or the other tab is at it
  if (!following) setTimeout(closeList);
  if (!following && !narrow()) setTimeout(() => $("#box textarea")?.focus()); // on a phone it would open the keyboard
  following = false;
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
  const stored = store.get(id);
  if (!messages.length || store.isDeleted(id)) return;
  const same = stored && JSON.stringify(stored.messages) === JSON.stringify(messages);
  if (stored && !same && store.isNews(stored)) return split(id, messages, stored.title);
  if (id === current) remember(id);
  if (same) return void store.read(stored);
  const title = stored?.title ?? messages[0].text.replace(/\s+/g, " ").slice(0, 48);
  put({ ...stored, id, title, updated: Date.now(), messages });
}

function put(conversation) {
  if (!store.put(conversation)) banner("This browser has no room left for conversations. Delete some, or export them.");
  list.render(current);
}

function remember(id) {
  store.setTab("current", id);
  store.set("current", id);
}

function open(id) {
  flush();
  apart.delete(id);
  current = id;
  told = "";
  remember(id);
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

// --- other tabs

/** Two tabs went on with one conversation: the other's stays, this one's is kept beside it. */
function split(id, messages, title) {
  const own = store.newId();
  apart.set(id, own);
  if (id === current) {
    current = own;
    remember(own);
    if (answering) state("answering");
  }
  put({ id: own, title: `${title} (2)`, updated: Date.now(), messages });
  say("Another tab went on with this conversation. What you wrote here is kept as one of its own.");
}

/** Another tab changed something: what this one wrote and that one did not see is kept, the rest is shown. */
function changed(event) {
  list.render(current);
  const news = store.told(event);
  if (!news || (news.id !== null && news.id !== current)) return;
  if (!news.conversation) store.deletedElsewhere(current);
  const mine = news.conversation && store.overwritten(news.conversation);
  if (mine) return split(current, mine, news.conversation.title);
  clearTimeout(elsewhereDue);
  elsewhereDue = setTimeout(elsewhere, ELSEWHERE_MS);
}

/** Show what another tab did to the open conversation, unless the visitor is at work on it here. */
function elsewhere() {
  if (store.isDeleted(current)) {
    saving = null;
    afterStop = () => {
      open(store.newId());
      $("#load").click();
      say("This conversation was deleted in another tab.");
    };
    return answering ? stop() : ended("idle");
  }
  const stored = store.get(current);
  if (answering || saving || !stored || !store.isNews(stored)) return;
  if (asking || $("#chat .edit-textarea, #conversations details[open], #conversations input")) {
    elsewhereDue = setTimeout(elsewhere, ELSEWHERE_MS);
    return;
  }
  told = "";
  following = true;
  $("#load").click();
}

// --- the page

function state(name) {
  asking = false;
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

const LONGEST = Number($('meta[name="chatbot:longest"]')?.content ?? Infinity);

/** Whether it is longer than the server takes; then nothing is cut, and it stays in the box. */
function tooLong(text) {
  // The server counts characters, not halves of them.
  const length = text.length > LONGEST ? [...text].length : 0;
  if (length <= LONGEST) return false;
  const [most, is] = [LONGEST, length].map((number) => number.toLocaleString("en"));
  say(`A message may have ${most} characters; this one has ${is}. Please shorten it.`);
  return true;
}

/** A picture or a file, pasted or dropped; the browser would leave the page for it, or do nothing. */
function refuseFiles(event) {
  const data = event.clipboardData ?? event.dataTransfer;
  if (!data?.types.includes("Files") || (event.type === "paste" && data.types.includes("text/plain"))) return;
  event.preventDefault();
  event.stopPropagation();
  if (event.type !== "dragover") say("This chat takes text only: the file was not added.");
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

/** One answer at a time, and none to what is too long: what is sent then stays in the box. */
function hold(event) {
  const area = $("#box textarea");
  const sends = event.type === "click"
    ? event.target.closest("#box .submit-button")
    : event.target === area && event.key === "Enter" && !event.shiftKey && !event.isComposing;
  if (!sends || !(answering || tooLong(area.value))) return;
  event.preventDefault();
  event.stopPropagation();
}

document.addEventListener("keydown", keys);
for (const type of ["keydown", "click"]) document.addEventListener(type, hold, true); // before Gradio's own
for (const type of ["paste", "drop", "dragover"]) document.addEventListener(type, refuseFiles, true);
document.addEventListener("input", (event) => {
  if (!event.target.closest("#box")) return;
  store.setTab("draft", event.target.value);
  if (!tooLong(event.target.value)) say("");
});
document.addEventListener("click", (event) => {
  if (event.target.closest("#box .stop-button")) stopping = true;
  if (event.target.closest("#chat .example")) begins();
});
addEventListener("pagehide", flush);
addEventListener("storage", changed);
new MutationObserver(() => (tidying ||= requestAnimationFrame(tidied))).observe(document.body, {
  childList: true,
  subtree: true,
  attributeFilter: ["class"],
});

function tidied() {
  tidying = 0;
  belated();
  tidy();
}

tidied();
appearance();
watch();
setTimeout(() => list.render(current));
