// Conversations in this browser: one localStorage entry each. Two tabs may have the same one open: each entry says which
// one it was made from (`base`), so that whoever writes can see whether somebody else wrote meanwhile.

const PREFIX = "chatbot:conversation:";
const memory = new Map(); // where the browser forbids storage, conversations live as long as the page

function area() {
  try {
    localStorage.setItem("chatbot:probe", "1");
    localStorage.removeItem("chatbot:probe");
    return {
      keys: () => Object.keys(localStorage),
      get: (key) => localStorage.getItem(key),
      set: (key, value) => localStorage.setItem(key, value),
      remove: (key) => localStorage.removeItem(key),
    };
  } catch {
    return {
      keys: () => [...memory.keys()],
      get: (key) => memory.get(key) ?? null,
      set: (key, value) => memory.set(key, value),
      remove: (key) => memory.delete(key),
    };
  }
}

const storage = area();

function parse(text) {
  try {
    const found = JSON.parse(text);
    return found && Array.isArray(found.messages) ? found : null;
  } catch {
    return null; // written by something else, or half written
  }
}

/** Every conversation, the latest first. */
export function all() {
  return storage
    .keys()
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => parse(storage.get(key)))
    .filter(Boolean)
    .sort((a, b) => b.updated - a.updated);
}

export const get = (id) => parse(storage.get(PREFIX + id));

const known = new Map(); // by conversation, what this tab last read or wrote: {rev, text, wrote}
const textIn = (conversation) => JSON.stringify(conversation.messages);

/** The conversation; this tab shows it as it is in storage now. */
export function read(conversation) {
  known.set(conversation.id, { rev: conversation.rev, text: textIn(conversation), wrote: false });
  return conversation;
}

/** Keep a conversation as this tab has it; false when the browser has no room left. */
export function put(conversation) {
  const { id, rev = "" } = conversation;
  const kept = { ...conversation, base: rev, rev: newId() };
  try {
    storage.set(PREFIX + id, JSON.stringify(kept));
  } catch {
    return false;
  }
  known.set(id, { rev: kept.rev, text: textIn(kept), wrote: true });
  return true;
}

/** Another name for a conversation; what another tab wrote in it is still news. */
export function rename(id, title) {
  const stored = get(id);
  const mine = known.get(id);
  if (!stored || !put({ ...stored, title })) return;
  if (mine) known.set(id, { ...mine, rev: known.get(id).rev });
  else known.delete(id);
}

/** Whether another tab wrote something that this one does not show. */
export const isNews = (conversation) => known.get(conversation.id)?.text !== textIn(conversation);

/** Another tab deleted it: it is no more, though this one may have written it while the news was on its way. */
export function deletedElsewhere(id) {
  if (known.has(id)) remove(id);
}

/** Whether this tab had it, and it is no more. */
export const isDeleted = (id) => known.has(id) && !get(id);

/** What a storage event of another tab is about: {id, conversation}; null for what is no conversation. */
export function told(event) {
  if (event.key === null) return { id: null, conversation: null }; // everything was deleted
  if (!event.key.startsWith(PREFIX)) return null;
  return { id: event.key.slice(PREFIX.length), conversation: parse(event.newValue) };
}

/**
 * The messages that this tab wrote and that another tab, which had not seen them, wrote over in the same instant; null for
 * none. `written` is what the other wrote.
 */
export function overwritten(written) {
  const mine = known.get(written.id);
  if (!mine || written.rev === mine.rev) return null;
  const seen = written.base === mine.rev;
  const { wrote, text } = mine;
  mine.rev = written.rev;
  const stored = get(written.id);
  if (seen || !wrote || !stored || text === "[]") return null;
  const messages = JSON.parse(text);
  return JSON.stringify(stored.messages.slice(0, messages.length)) === text ? null : messages;
}

export const remove = (id) => storage.remove(PREFIX + id);

export const setting = (name) => storage.get(`chatbot:${name}`);
export const set = (name, value) => storage.set(`chatbot:${name}`, value);

// What one tab remembers over a reload.
export function tab(name) {
  try {
    return sessionStorage.getItem(`chatbot:${name}`);
  } catch {
    return null;
  }
}
export function setTab(name, value) {
  try {
    sessionStorage.setItem(`chatbot:${name}`, value);
  } catch {
    // storage is forbidden; then a reload forgets it
  }
}

export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(9)), (byte) => byte.toString(36).padStart(2, "0")).join("");

/** A conversation as others may read it, without what two tabs tell each other. */
export const plain = ({ id, title, updated, messages }) => ({ id, title, updated, messages });

/** A conversation as Markdown. */
export function markdown(conversation) {
  const names = { user: "You", assistant: "Assistant" };
  const parts = conversation.messages.map((message) => `## ${names[message.role]}\n\n${message.text}`);
  return [`# ${conversation.title}`, ...parts].join("\n\n") + "\n";
}
