"""Has Gradio's page draw messages by assets/words.js: nothing that is written is markup, and every character is seen.

Gradio draws a message as Markdown in which HTML is HTML. What its sanitiser lets through can cover the whole page (a
`position: fixed` block that looks like a sign-in), and what it does not know (`vector<int>`, `<your-name>`) is taken
out with everything after it. No setting of `gr.Chatbot` turns HTML off, so two of its scripts are served with one place
of each changed (docs/decisions/0046). Where a place is not as it is known here, the app does not start: the page as
Gradio has it must never be served.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import gradio

ASSETS = Path(gradio.__file__).parent / "templates/frontend/assets"
WORDS = "/page/words.js"


class OtherGradio(RuntimeError):
    """The installed Gradio's scripts are not those that this module knows."""


@dataclass(frozen=True)
class Script:
    """One that is served in the place of Gradio's own of that name."""

    name: str
    body: bytes

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


def scripts(assets: Path = ASSETS) -> list[Script]:
    """Gradio's scripts as they are served; raises OtherGradio."""
    return [_drawing(assets), _messages(assets)]


def _drawing(assets: Path) -> Script:
    """The component that draws Markdown, which makes a message's blocks by our function with its own tools."""
    file = _file(assets, "markdown-code-*.js")
    text = file.read_text(encoding="utf-8")
    (place,) = _only(r"(\w+)\.replaceChildren\(", text, file)
    (copy,) = _only(r'`<div class="code_wrap">`\+(\w+)\+', text, file)
    load, prism = _only(r"highlight:async\(\w,\w\)=>\(await (\w+)\(\w\),(\w+)\?\.languages", text, file)
    katex, style = _file(assets, "katex-*.js").name, _file(assets, "katex-*.css").name
    tools = (
        f"{{copy:{copy},"
        f"highlight:async(code,name)=>(await {load}(name),"
        f"{prism}.languages[name]?{prism}.highlight(code,{prism}.languages[name],name):code),"
        f'katex:async()=>(WORDS.style(new URL("./{style}",import.meta.url)),(await import("./{katex}")).default)}}'
    )
    known = r"(\w)&&\1\.trim\(\)\?\w\(\1,(\w)\):\{context:\2,blocks:\[\]\}"
    message, context = _only(known, text, file)
    ours = f"{message}&&{message}.trim()?WORDS.blocks({message},{place},{tools}):{{context:{context},blocks:[]}}"
    body = re.sub(known, lambda _: ours, text)
    return Script(file.name, f'import*as WORDS from"{WORDS}";{body}'.encode())


def _messages(assets: Path) -> Script:
    """The chatbot, which changes `src="/file` in what it shows and copies to an address of Gradio's own."""
    known = r'\.replace\(`src="/file`,`src="\$\{\w+\}file`\)'
    changed = {
        file.name: without
        for file in assets.glob("Index-*.js")
        for without, places in [re.subn(known, "", file.read_text(encoding="utf-8"))]
        if places
    }
    if len(changed) != 1:
        raise _other(f"{len(changed)} scripts with {known}")
    ((name, text),) = changed.items()
    return Script(name, text.encode())


def _file(assets: Path, pattern: str) -> Path:
    found = list(assets.glob(pattern))
    if len(found) != 1:
        raise _other(f"{len(found)} scripts {pattern}")
    return found[0]


def _only(pattern: str, text: str, file: Path) -> tuple[str, ...]:
    """What the groups of a pattern are, wherever it is found: the same everywhere."""
    found = {match.groups() for match in re.finditer(pattern, text)}
    if len(found) != 1:
        raise _other(f"{len(found)} different places {pattern} in {file.name}")
    return found.pop()


def _other(what: str) -> OtherGradio:
    return OtherGradio(f"Gradio {gradio.__version__} has {what}, not one: read chatbot/rendering.py anew for it")
