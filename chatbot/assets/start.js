// Stands in the page itself, before all else. What of the page does not arrive (the network changed, its task was just
// replaced) would leave it without a sign of life for good; it is loaded anew instead, a few times. Once the page
// works, assets/chat.js says so in data-state and this has nothing more to do.
(() => {
  const KEY = "chatbot:loads", MOST = 4, PAUSE_MS = 400;
  let done = false;

  function count() {
    try {
      const before = Number(sessionStorage.getItem(KEY));
      sessionStorage.setItem(KEY, before + 1);
      return before;
    } catch {
      return MOST; // nothing can be remembered, so it could go on for ever
    }
  }

  function again() {
    if (done || document.body?.dataset.state) return;
    done = true;
    const before = count();
    if (before < MOST) return void setTimeout(() => location.reload(), PAUSE_MS * 2 ** before);
    const line = document.createElement("p");
    line.setAttribute("role", "alert");
    line.textContent = "This page could not be loaded whole. Please reload it.";
    document.body.prepend(line);
  }

  addEventListener("error", (event) => event.target !== window && again(), true); // a script or a style sheet
  addEventListener("vite:preloadError", again); // a part that Gradio loads later
})();
