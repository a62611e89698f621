"""The page: one Gradio Blocks that holds no conversation; what it shows lives in the visitor's browser."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr

from chatbot.answers import Answerer, Update
from chatbot.backends import kinds
from chatbot.conversation import until_question
from chatbot.logs import event
from chatbot.settings import Settings

ASSETS = Path(__file__).parent / "assets"
# First in the page's head, so that it sees whatever fails to load after it.
START = b"<script>" + (ASSETS / "start.js").read_bytes() + b"</script>"
# In the page itself: css that is given to Gradio is rewritten (media queries break) and loads after the first paint.
SCRIPTS = (b"chat", b"list", b"looks", b"store", b"words", b"math", b"vendor/markdown")
HEAD = b'<link rel="stylesheet" href="/page/page.css">' + b"".join(
    b'<link rel="modulepreload" href="/page/%s.js">' % name for name in SCRIPTS
)
TINY = "Tiny demo model, often wrong"

Outputs = tuple[Any, Any, Any]


def head(settings: Settings) -> bytes:
    """The end of the page's head: its assets, and what a link to it is shown with where links have previews."""
    title, tagline = html.escape(settings.title), html.escape(settings.tagline)
    preview = f'<meta property="og:title" content="{title}"><meta property="og:description" content="{tagline}">'
    # What is too long is said and stays in the box (assets/chat.js): a box with a length would cut it without a word.
    longest = f'<meta name="chatbot:longest" content="{settings.max_input_chars}">'
    # /readyz says which of them it is.
    troubles = {kind.name: kind.visitor.format(when=kind.when) for kind in (kinds.STARTING, *kinds.KINDS) if kind.site}
    banners = f'<meta name="chatbot:troubles" content="{html.escape(json.dumps(troubles))}">'
    return HEAD + "".join((preview, longest, banners)).encode()


def build(answerer: Answerer) -> gr.Blocks:
    """The page over an answerer. The order of its events is an interface: an open page calls them by number."""
    settings = answerer.settings
    with gr.Blocks(title=settings.title, fill_height=True, fill_width=True, analytics_enabled=False) as blocks:
        with gr.Sidebar(open=True, width=288, elem_id="sidebar", label="Conversations"):
            fresh = gr.Button("New conversation", elem_id="fresh", variant="secondary", size="md")
            gr.HTML('<nav id="conversations" aria-label="Conversations"></nav>')
            wishes = _visitor_controls(answerer)
        gr.HTML(_header(answerer), elem_id="top")
        chatbot = _chatbot(settings)
        notice = gr.HTML(_notice("idle"), elem_id="notice")
        again = gr.Button("Try again", elem_id="again", size="sm", variant="secondary")
        gr.HTML('<p id="said" role="status"></p>', elem_id="says")
        box = _box()
        load = gr.Button("Show the conversation", elem_id="load")
        # Which conversation the chatbot shows: a change that arrives late must not be kept as another one's.
        which = gr.Textbox(visible=False)

        talk = _Talk(answerer, [name for name, _ in wishes])
        controls = [control for _, control in wishes]
        outputs = [chatbot, box, notice]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        running: dict[str, Any] = {**quiet, "concurrency_limit": None, "outputs": outputs, "js": _call("began")}

        # The question appears at once, by the browser alone; then the server is asked.
        asked = box.submit(None, [box, chatbot], [box, chatbot], js=_call("ask"), **quiet)
        chosen = chatbot.example_select(_example, [chatbot], [chatbot], **quiet)
        answers = [
            asked.then(talk.answer, [chatbot, *controls], **running),
            chosen.then(talk.answer, [chatbot, *controls], **running),
            chatbot.retry(talk.retry, [chatbot, *controls], **running),
            chatbot.edit(talk.edit, [chatbot, *controls], **running),
            again.click(talk.again, [chatbot, *controls], **running),
        ]
        ending = [chatbot, which, notice]  # what is kept at an answer's end; its last change may be told after it
        for answer in answers:
            answer.then(None, ending, [box, notice], js=_call("settled"), **quiet)
            answer.failure(None, ending, [box, notice], js=_call("failed"), **quiet)
        box.stop(None, None, None, cancels=answers, **quiet).then(
            None, ending, [box, notice], js=_call("stopped"), **quiet
        )
        # A second thought may come while the first is on its way: "once", the default, would lose it. They leave one by
        # one, so that the log has them in their order.
        like = chatbot.like(talk.like, [chatbot], None, js=_call("judge"), trigger_mode="multiple", **quiet)
        # Everything from here on happens in the browser alone.
        chatbot.change(None, [chatbot, which], None, js=_call("keep"), **quiet)
        chatbot.clear(None, None, [chatbot, notice, which], js=_call("fresh"), **quiet)
        fresh.click(None, None, [chatbot, notice, which], js=_call("fresh"), **quiet)
        load.click(None, None, [chatbot, notice, which], js=_call("shown"), **quiet)
        blocks.load(None, None, [chatbot, notice, which, box], js=_call("loaded"), **quiet)
        gr.api(talk.chat, api_name="chat", concurrency_limit=None)
        like.then(None, None, None, js=_call("judged"), **quiet)
    # Before queue(), which makes as many places: Gradio's 40 would let a crowd in wave by wave.
    blocks.max_threads = 500
    blocks.queue(max_size=None, default_concurrency_limit=None, status_update_rate="auto")
    blocks.run_history = False
    return blocks


def _call(function: str) -> str:
    """A call of a function of assets/chat.js as the `js` of an event; a module, so it needs no global and no order."""
    module = "import('/page/chat.js').catch((error) => { dispatchEvent(new Event('chatbot:missing')); throw error; })"
    return f"async (...values) => (await {module}).{function}(...values)"


def _header(answerer: Answerer) -> str:
    settings, backend = answerer.settings, answerer.backend
    name = backend.model or ("no model" if backend.lacking else backend.name)
    tiny = f'<span class="tiny">{TINY}</span>' if backend.tiny else ""
    return (
        f"<header><h1>{html.escape(settings.title)}</h1>"
        f'<p class="model"><span class="name">{html.escape(name)}</span>{tiny}</p>'
        '<button id="dark" type="button" aria-label="Switch between light and dark"></button></header>'
        '<div id="banner" role="alert" hidden></div>'
    )


def _chatbot(settings: Settings) -> gr.Chatbot:
    return gr.Chatbot(
        elem_id="chat",
        label="Conversation",
        show_label=False,
        container=False,
        scale=1,
        height="100%",
        layout="bubble",
        editable="user",
        buttons=["copy"],
        allow_tags=False,
        sanitize_html=True,
        group_consecutive_messages=False,
        placeholder=f"## {_literally(settings.title)}\n\n{_literally(settings.tagline)}",
        examples=[{"text": example} for example in settings.examples],
    )


def _literally(text: str) -> str:
    """Markdown that is shown as `text` in one line: signs as entities, since a backslash may begin a formula."""
    return re.sub(r"[!-/:-@\[-`{-~]", lambda sign: f"&#{ord(sign[0])};", " ".join(text.split()))


def _box() -> gr.Textbox:
    return gr.Textbox(
        elem_id="box",
        label="Message",
        show_label=False,
        container=False,
        placeholder="Write a message",
        lines=1,
        max_lines=8,
        autofocus=True,
        submit_btn=True,
        stop_btn=False,
    )


def _visitor_controls(answerer: Answerer) -> list[tuple[str, Any]]:
    """A control for each setting that a visitor may change, by name."""
    ours, found = answerer.settings, []
    if not ours.visitor_settings:
        return []
    with gr.Accordion("Settings", open=False, elem_id="wishes"):
        if "model" in ours.visitor_settings:
            choices = [answerer.backend.model, *ours.models]
            found.append(("model", gr.Dropdown(choices, value=choices[0], label="Model")))
        if "temperature" in ours.visitor_settings:
            found.append(("temperature", gr.Slider(0, 2, ours.temperature, step=0.1, label="Temperature")))
        if "max_tokens" in ours.visitor_settings:
            slider = gr.Slider(1, ours.max_tokens, ours.max_tokens, step=1, label="Longest answer, in tokens")
            found.append(("max_tokens", slider))
        if "system_prompt" in ours.visitor_settings:
            found.append(("system_prompt", gr.Textbox(ours.system_prompt, label="System prompt", lines=3)))
    return found


def _notice(state: str, sentence: str = "") -> str:
    """The line between conversation and box; read out by screen readers, and read back by the page's script."""
    return f'<p role="status" data-state="{state}">{html.escape(sentence)}</p>'


def _example(history: list[Any], example: gr.SelectData) -> list[Any]:
    return [*history, _message("user", example.value["text"])]


def _message(role: str, text: str) -> dict[str, Any]:
    """As a part: of a plain string Gradio would take the indentation and the blank lines at its ends away."""
    return {"role": role, "content": [{"type": "text", "text": text}]}


class _Talk:
    """The page's calls on the answerer."""

    def __init__(self, answerer: Answerer, wishes: list[str]) -> None:
        self._answerer = answerer
        self._wishes = wishes

    async def answer(self, history: list[Any], *values: Any) -> AsyncGenerator[Outputs, None]:
        """The answer to the last question."""
        writing = gr.Textbox(submit_btn=False, stop_btn=True)
        wishes = dict(zip(self._wishes, values, strict=False))
        async with aclosing(self._answerer.answer(history, wishes)) as updates:
            async for update in updates:
                yield _shown(history, update), writing, _notice(update.state, update.notice)
                writing = gr.skip()

    async def retry(self, history: list[Any], data: gr.RetryData, *values: Any) -> AsyncGenerator[Outputs, None]:
        """Another answer to the question before the chosen answer."""
        index = data.index[0] if isinstance(data.index, tuple) else data.index
        async with aclosing(self.answer(until_question(history, index), *values)) as outputs:
            async for output in outputs:
                yield output

    async def edit(self, history: list[Any], data: gr.EditData, *values: Any) -> AsyncGenerator[Outputs, None]:
        """The answer to a question that was rewritten; what followed it is dropped."""
        index = data.index[0] if isinstance(data.index, tuple) else data.index
        edited = [*history[: max(index, 0)], _message("user", str(data.value))]
        async with aclosing(self.answer(edited, *values)) as outputs:
            async for output in outputs:
                yield output

    async def again(self, history: list[Any], *values: Any) -> AsyncGenerator[Outputs, None]:
        """Another try at the last question."""
        async with aclosing(self.answer(until_question(history, len(history) - 1), *values)) as outputs:
            async for output in outputs:
                yield output

    def like(self, history: list[Any], data: gr.LikeData) -> None:
        """Log what a visitor thinks of an answer; which one and how it was made, not what it says."""
        index = data.index[0] if isinstance(data.index, tuple) else data.index
        liked = "liked" if data.liked is True else "disliked" if data.liked is False else "withdrawn"
        backend = self._answerer.backend
        self._answerer.metrics.feedback[liked] += 1
        event("feedback", feedback=liked, message=index, messages=len(history),
              backend=backend.name, model=backend.model)  # fmt: skip

    async def chat(self, message: str, history: list[dict[str, Any]] | None = None) -> AsyncGenerator[str, None]:
        """Ask one question, after an optional history of {"role", "content"}; streams the answer so far."""
        turns = [*(history or []), {"role": "user", "content": message}]
        async with aclosing(self._answerer.answer(turns)) as updates:
            async for update in updates:
                if update.state == "failed":
                    raise gr.Error(update.notice, print_exception=False)
                if update.text:
                    yield update.text


def _shown(history: list[Any], update: Update) -> list[Any]:
    if update.text or update.state in ("waiting", "writing"):
        return [*history, _message("assistant", update.text)]
    return history
