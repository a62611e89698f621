// Conversations in this browser: one localStorage entry each, so that two tabs never overwrite each other's.

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

/** Keep a conversation; false when the browser has no room left. */
export function put(conversation) {
  try {
    storage.set(PREFIX + conversation.id, JSON.stringify(conversation));
    return true;
  } catch {
    return false;
  }
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

/** A conversation as Markdown. */
export function markdown(conversation) {
  const names = { user: "You", assistant: "Assistant" };
  const parts = conversation.messages.map((message) => `## ${names[message.role]}\n\n${message.text}`);
  return [`# ${conversation.title}`, ...parts].join("\n\n") + "\n";
}
