// Stands in the page itself, before all else. What of the page does not arrive (the network changed, its task was just
// replaced) would leave it without a sign of life for good; it is loaded anew instead, a few times. Once the page
// works, assets/chat.js says so in data-state, and from then on it is left alone.
(() => {
  const KEY = "chatbot:loads", MOST = 4, PAUSE_MS = 400, WORKS_MS = 30_000;
  const works = () => document.body?.dataset.state;
  let waiting = false;

  function count(value) {
    try {
      if (value !== undefined) sessionStorage.setItem(KEY, value);
      return Number(sessionStorage.getItem(KEY));
    } catch {
      return MOST; // nothing can be remembered, so it could go on for ever
    }
  }

  /** What the page cannot do without; not what a browser only fetches early (Firefox tells of those though they arrived). */
  function needed(element) {
    const address = element.localName === "script" ? element.src : element.rel === "stylesheet" ? element.href : "";
    return address.startsWith(location.origin + "/");
  }

  function again() {
    if (waiting || works()) return;
    waiting = true;
    const before = count();
    setTimeout(() => {
      if (works()) return; // without that part, or it came after all
      if (before >= MOST) return say();
      count(before + 1);
      location.reload();
    }, PAUSE_MS * 2 ** Math.min(before, MOST));
  }

  function say() {
    const line = document.createElement("p");
    line.setAttribute("role", "alert");
    line.textContent = "This page could not be loaded whole. Please reload it.";
    document.body.prepend(line);
    new MutationObserver(() => line.remove()).observe(document.body, { attributeFilter: ["data-state"] });
  }

  // Not before the page has worked for a while: whatever loads it anew, it ends.
  setTimeout(() => works() && count(0), WORKS_MS);
  addEventListener("error", (event) => event.target !== window && needed(event.target) && again(), true);
  addEventListener("vite:preloadError", again); // a part that Gradio loads later
  addEventListener("chatbot:missing", again); // assets/chat.js, which Gradio's events call
})();
