"""The page in Chromium: what a visitor does. With CHATBOT_URL set, on what is deployed there instead."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.chatbot.conftest import App
from tests.chatbot.fake_openai import FakeOpenAI

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)
DEPLOYED = os.environ.get("CHATBOT_URL", "").rstrip("/")
local_only = pytest.mark.skipif(bool(DEPLOYED), reason="needs a model's server that misbehaves on demand")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Site:
    """A page to test, and questions that have the wanted kind of answer there."""

    url: str
    long: str = "slowly"
    code: str = "markdown"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Site:
    if DEPLOYED:
        return Site(
            DEPLOYED, "Count from 1 to 300, one number per line.", "Show me a Python function that adds numbers."
        )
    return Site(request.getfixturevalue("app").url)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def opened(context: BrowserContext, site: Site) -> Callable[..., Page]:
    """Opens the page, ready to be written on."""

    def open_page(url: str = "", **viewport: int) -> Page:
        page = context.new_page()
        if viewport:
            page.set_viewport_size(viewport)  # type: ignore[arg-type]
        page.goto(url or site.url)
        ready(page)
        return page

    return open_page


@pytest.fixture
def page(opened: Callable[..., Page]) -> Page:
    return opened()


def ready(page: Page) -> None:
    expect(page.get_by_role("textbox", name="Message")).to_be_visible(timeout=60_000)
    page.wait_for_function("['idle', 'failed'].includes(document.body.dataset.state)")


def box(page: Page) -> Any:
    return page.get_by_role("textbox", name="Message")


def answers(page: Page) -> Any:
    return page.locator("#chat [data-testid=bot]")


def questions(page: Page) -> Any:
    return page.locator("#chat [data-testid=user]")


def send(page: Page, text: str) -> None:
    box(page).fill(text)
    box(page).press("Enter")


def settled(page: Page, state: str = "idle") -> None:
    page.wait_for_function("state => document.body.dataset.state === state", arg=state, timeout=60_000)


def ask(page: Page, text: str) -> None:
    count = questions(page).count()
    send(page, text)
    expect(questions(page)).to_have_count(count + 1)
    page.wait_for_function("n => document.querySelectorAll('#chat [data-testid=bot]').length >= n", arg=count + 1)
    settled(page)


def writing(page: Page) -> None:
    """Wait until an answer is being written."""
    expect(answers(page).last).to_contain_text(re.compile(r"\d"))
    assert page.evaluate("document.body.dataset.state") == "answering"


def menu(page: Page, action: str) -> None:
    page.locator("#conversations .current summary").click()
    page.get_by_role("button", name=action).locator("visible=true").click()


def test_an_answer_streams_and_the_box_is_free_for_the_next(page: Page, site: Site) -> None:
    send(page, site.long)
    expect(questions(page)).to_have_text(re.compile(re.escape(site.long[:10])))
    expect(box(page)).to_have_value("")
    writing(page)
    first = answers(page).last.inner_text()
    page.wait_for_function("n => document.querySelector('#chat .latest').innerText.length > n", arg=len(first))
    page.get_by_role("button", name="Stop").click()
    settled(page)


def test_the_page_names_the_model_and_the_title(page: Page) -> None:
    expect(page.locator("#top .model .name")).not_to_be_empty()
    title = page.locator("#top h1").inner_text()
    assert page.title() == title
    expect(page.locator("#chat .empty h2")).to_have_text(title)


def test_an_example_is_asked_by_a_click(page: Page) -> None:
    example = page.locator("#chat .example").first
    text = example.inner_text()
    example.click()
    expect(questions(page)).to_have_text([text])
    settled(page)
    expect(answers(page)).to_have_count(1)


def test_code_is_a_block_that_can_be_copied(page: Page, site: Site) -> None:
    ask(page, site.code)
    block = answers(page).locator(".code_wrap").first
    expect(block.locator("code")).to_contain_text("print" if not DEPLOYED else "def")
    block.hover()
    block.locator("button").click()
    assert page.evaluate("navigator.clipboard.readText()").strip() == block.locator("code").inner_text().strip()


def test_an_answer_is_copied_by_its_button(page: Page) -> None:
    ask(page, "copy this")
    page.locator("#chat .message-buttons-left").get_by_role("button", name="Copy message").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == answers(page).inner_text().strip()


@pytest.mark.parametrize("by", ["button", "escape"])
def test_a_stopped_answer_keeps_what_had_arrived_and_the_next_question_is_answered(
    page: Page, site: Site, by: str
) -> None:
    send(page, site.long)
    writing(page)
    if by == "button":
        page.get_by_role("button", name="Stop").click()
    else:
        page.keyboard.press("Escape")
    settled(page)
    expect(page.get_by_role("status").filter(has_text="Stopped.")).to_be_visible()
    kept = answers(page).last.inner_text()
    assert kept.strip()
    page.wait_for_timeout(500)
    assert answers(page).last.inner_text() == kept
    ask(page, "still there?")
    expect(answers(page)).to_have_count(2)


def test_a_retry_answers_the_same_question_again(page: Page) -> None:
    ask(page, "say something")
    page.get_by_role("button", name="Retry").click()
    settled(page, "answering") if DEPLOYED else None
    settled(page)
    expect(questions(page)).to_have_count(1)
    expect(answers(page)).to_have_count(1)
    expect(answers(page)).not_to_be_empty()


def test_an_edited_question_is_asked_anew_and_what_followed_is_gone(page: Page) -> None:
    ask(page, "first question")
    ask(page, "second question")
    page.locator("#chat").get_by_role("button", name="Edit").first.click()
    field = page.get_by_role("textbox", name="Edit your message")
    field.fill("another question")
    page.locator("#chat").get_by_role("button", name="Submit").click()
    expect(questions(page)).to_have_count(1)
    expect(questions(page)).to_have_text(["another question"])
    settled(page)
    expect(answers(page)).to_have_count(1)


def test_arrow_up_edits_the_last_question_by_keyboard_alone(page: Page) -> None:
    ask(page, "first question")
    ask(page, "second question")
    box(page).focus()
    page.keyboard.press("ArrowUp")
    field = page.get_by_role("textbox", name="Edit your message")
    expect(field).to_be_focused()
    expect(field).to_have_value("second question")
    page.keyboard.press("Control+a")
    page.keyboard.type("better question")
    page.keyboard.press("Enter")
    expect(questions(page).last).to_have_text("better question")
    settled(page)
    expect(questions(page)).to_have_text(["first question", "better question"])
    expect(answers(page)).to_have_count(2)


def test_enter_sends_and_shift_enter_breaks_the_line(page: Page) -> None:
    box(page).focus()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(box(page)).to_have_value("one\ntwo")
    page.keyboard.press("Enter")
    expect(questions(page)).to_have_count(1)
    assert questions(page).inner_text().split() == ["one", "two"]
    settled(page)


def test_an_empty_message_is_not_sent(page: Page) -> None:
    box(page).focus()
    page.keyboard.type("  ")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    expect(questions(page)).to_have_count(0)
    expect(answers(page)).to_have_count(0)


def test_a_conversation_survives_a_reload_and_goes_on(page: Page) -> None:
    ask(page, "remember me")
    answer = answers(page).inner_text()
    page.reload()
    ready(page)
    expect(questions(page)).to_have_text(["remember me"])
    expect(answers(page)).to_have_text([answer])
    ask(page, "and me")
    expect(answers(page)).to_have_count(2)


def test_several_conversations_are_listed_opened_renamed_and_deleted(page: Page) -> None:
    names = page.locator("#conversations .open")
    ask(page, "about apples")
    page.get_by_role("button", name="New conversation").click()
    expect(questions(page)).to_have_count(0)
    ask(page, "about pears")
    expect(names).to_have_text(["about pears", "about apples"])
    names.filter(has_text="apples").click()
    expect(questions(page)).to_have_text(["about apples"])
    expect(page.locator("#conversations [aria-current=page]")).to_have_text("about apples")

    menu(page, "Rename")
    field = page.get_by_role("textbox", name="Name of the conversation")
    field.fill("Fruit")
    field.press("Enter")
    expect(names.filter(has_text="Fruit")).to_have_count(1)
    page.reload()
    ready(page)
    expect(names.filter(has_text="Fruit")).to_have_count(1)
    expect(questions(page)).to_have_text(["about apples"])

    page.once("dialog", lambda dialog: dialog.accept())
    menu(page, "Delete")
    expect(names).to_have_text(["about pears"])
    expect(questions(page)).to_have_count(0)


def test_a_conversation_is_exported_as_markdown_and_as_json(page: Page) -> None:
    ask(page, "export me")
    answer = answers(page).inner_text().strip()
    with page.expect_download() as markdown:
        menu(page, "Export as Markdown")
    text = Path(markdown.value.path()).read_text()
    assert markdown.value.suggested_filename == "export-me.md"
    assert text.startswith("# export me\n\n## You\n\nexport me\n\n## Assistant\n\n") and answer[:20] in text
    with page.expect_download() as exported:
        menu(page, "Export as JSON")
    found = json.loads(Path(exported.value.path()).read_text())
    assert [message["role"] for message in found["messages"]] == ["user", "assistant"]
    assert found["title"] == "export me"


def test_two_tabs_do_not_overwrite_each_others_conversations(opened: Callable[..., Page]) -> None:
    first = opened()
    first.get_by_role("button", name="New conversation").click()
    ask(first, "in the first tab")
    second = opened()
    second.get_by_role("button", name="New conversation").click()
    ask(second, "in the second tab")
    ask(first, "more in the first tab")
    names = first.locator("#conversations .open")
    expect(names).to_have_text(["in the first tab", "in the second tab"])
    names.last.click()
    expect(questions(first)).to_have_text(["in the second tab"])


def test_another_conversation_may_be_opened_while_an_answer_is_written(page: Page, site: Site) -> None:
    ask(page, "short one")
    page.get_by_role("button", name="New conversation").click()
    expect(questions(page)).to_have_count(0)
    send(page, site.long)
    writing(page)
    page.locator("#conversations .open", has_text="short one").click()
    expect(questions(page)).to_have_text(["short one"])
    settled(page)
    page.wait_for_timeout(700)
    expect(answers(page)).to_have_count(1)
    page.locator("#conversations .open", has_text=site.long[:10]).click()
    expect(questions(page)).to_have_count(1)
    expect(answers(page)).to_contain_text(re.compile(r"\d"))


def test_dark_follows_the_system_until_the_visitor_chooses(browser: Browser, site: Site) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(site.url)
    ready(page)
    assert background(page) < 80
    page.get_by_role("button", name="Switch between light and dark").click()
    assert background(page) > 200
    page.reload()
    ready(page)
    assert background(page) > 200
    context.close()


def background(page: Page) -> int:
    colour = page.evaluate("getComputedStyle(document.querySelector('gradio-app')).backgroundColor")
    return int(re.findall(r"\d+", colour)[0])


@pytest.mark.parametrize(("width", "height"), [(360, 640), (768, 1024), (1440, 900)])
def test_nothing_sticks_out_at_any_width(opened: Callable[..., Page], site: Site, width: int, height: int) -> None:
    page = opened(width=width, height=height)
    ask(page, site.code)
    ask(page, "x" * 300)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for selector in ("#box", "#top header", "#chat .user-row", "#chat .bot-row", "#dark"):
        for element in page.locator(selector).all():
            bounds = element.bounding_box()
            assert bounds and bounds["x"] >= 0 and bounds["x"] + bounds["width"] <= width, selector


def test_on_a_phone_the_list_is_out_of_the_way_until_it_is_wanted(opened: Callable[..., Page]) -> None:
    page = opened(width=360, height=640)
    toggle = page.get_by_role("button", name="Conversations")
    expect(toggle).to_have_attribute("aria-expanded", "false")
    ask(page, "on the phone")
    toggle.click()
    page.get_by_role("button", name="New conversation").click()
    expect(toggle).to_have_attribute("aria-expanded", "false")
    expect(questions(page)).to_have_count(0)
    ask(page, "once more")


def test_less_motion_is_no_motion(browser: Browser, site: Site) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(site.url)
    ready(page)
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s'"
        " || getComputedStyle(e).animationName !== 'none').length"
    )
    assert moving == 0
    context.close()


def test_no_request_leaves_the_host_and_the_console_stays_clean(context: BrowserContext, site: Site) -> None:
    page = context.new_page()
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(site.url)
    ready(page)
    ask(page, site.code)
    assert [url for url in requested if not url.startswith((site.url, "data:", "blob:"))] == []
    assert complaints == []
    assert len([url for url in requested if "/queue/" in url]) == 2  # one question: one POST, one stream


def test_answers_run_no_script_and_fetch_nothing(page: Page, site: Site) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    attack = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>![x](https://evil.example/p.png)"
    ask(page, attack if DEPLOYED else "script " + attack)
    page.wait_for_timeout(500)
    assert page.evaluate("window.hacked") is None
    assert page.locator("#chat iframe, #chat script").count() == 0
    assert page.locator("#chat a[href^='javascript']").count() == 0
    # The browser refuses the image before a connection is made, or it is not there at all.
    assert [url for url in requested if "evil" in url and not blocked(page)] == []


def blocked(page: Page) -> bool:
    return bool(
        page.evaluate("""async () => { try { await fetch('https://evil.example/'); return false }
        catch (error) { return true } }""")
    )


def test_axe_finds_no_serious_violation(opened: Callable[..., Page], site: Site) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = opened()
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.evaluate("scheme => document.body.classList.toggle('dark', scheme === 'dark')", scheme)
        page.get_by_role("button", name="New conversation").click()
        expect(questions(page)).to_have_count(0)
        found += violations(axe, page, f"{scheme}, empty")
        ask(page, site.code)
        found += violations(axe, page, f"{scheme}, answered")
        page.locator("#conversations summary").first.click()
        found += violations(axe, page, f"{scheme}, menu")
        page.keyboard.press("Escape")
        page.locator("#chat").get_by_role("button", name="Edit").first.click()
        found += violations(axe, page, f"{scheme}, editing")
        page.keyboard.press("Escape")
    page.set_viewport_size({"width": 360, "height": 640})
    found += violations(axe, page, "phone")
    assert found == []


def violations(axe: Any, page: Page, where: str) -> list[str]:
    page.wait_for_timeout(400)  # transitions: half-faded colours are not what is judged
    results = axe.Axe().run(page).response["violations"]
    return [f"{where}: {each['id']} {[node['html'][:200] for node in each['nodes']]}" for each in results
            if each["impact"] in ("serious", "critical")]  # fmt: skip


# --- with a model's server that misbehaves


@local_only
@pytest.mark.parametrize(
    ("question", "sentence"),
    [("401", "refused this site's credentials"), ("503", "not available"), ("cuts", "broke off"),
     ("stalls", "broke off"), ("garbage", "could not be read"), ("429", "too many requests")],
)  # fmt: skip
def test_a_fault_is_a_sentence_on_the_page_with_another_try_and_the_page_still_works(
    page: Page, app: App, question: str, sentence: str
) -> None:
    before = len(app.lines("answer"))
    send(page, question)
    expect(page.locator("#notice").get_by_text(sentence)).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    if question in ("cuts", "stalls"):
        expect(answers(page)).to_have_text(["The beginning"])
    settled(page, "failed")
    page.get_by_role("button", name="Try again").click()
    app.wait(lambda: len(app.lines("answer")) == before + 2, what="the second failure")
    settled(page, "failed")
    expect(page.locator("#notice").get_by_text(sentence)).to_be_visible()
    expect(questions(page)).to_have_count(1)
    send(page, "still there?")
    expect(answers(page).last).to_contain_text("You said:")
    settled(page)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


@local_only
def test_a_conversation_survives_its_task_and_the_answer_it_was_writing(
    opened: Callable[..., Page], start: Any, fake: FakeOpenAI
) -> None:
    first: App = start(CHATBOT_BASE_URL=fake.url).ready()
    port, page = first.port, opened(first.url)
    ask(page, "before the swap")
    send(page, "slowly")
    writing(page)
    box(page).fill("after the swap")
    first.kill()
    second: App = start(CHATBOT_BASE_URL=fake.url, PORT=str(port)).ready()
    expect(page.get_by_role("button", name="Try again")).to_be_visible(timeout=15_000)
    expect(page.locator("#notice")).to_contain_text("What had arrived is kept")
    kept = answers(page).last.inner_text()
    assert re.search(r"\d", kept)
    expect(box(page)).to_have_value("after the swap")
    box(page).press("Enter")
    expect(answers(page).last).to_contain_text("You said:")
    settled(page)
    assert [len(fake.requests[-1]["messages"]), fake.requests[-1]["messages"][1]["content"]] == [6, "before the swap"]
    page.reload()
    ready(page)
    expect(answers(page)).to_have_count(3)
    assert second.lines("answer")[-1]["stop"] == "stop"


@local_only
def test_closing_the_tab_stops_the_generation(page: Page, app: App, fake: FakeOpenAI) -> None:
    before = fake.abandoned
    send(page, "slowly")
    writing(page)
    page.close()
    app.wait(lambda: fake.abandoned > before, seconds=15, what="the end of the generation")
    app.wait(lambda: app.lines("answer")[-1]["stop"] == "visitor", what="the log line")


@local_only
def test_a_page_that_was_left_without_an_answer_offers_to_try_again(page: Page) -> None:
    send(page, "stalls_at_once")
    page.wait_for_timeout(600)
    page.reload()
    ready(page)
    expect(page.get_by_text("This question has no answer yet.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


@local_only
def test_what_a_visitor_thinks_of_an_answer_is_in_the_log(page: Page, app: App) -> None:
    ask(page, "judge me")
    page.get_by_role("button", name="Like", exact=True).click()
    line = app.wait(lambda: app.lines("feedback"), what="the log line")[-1]
    assert (line["feedback"], line["message"], line["messages"], line["model"]) == ("liked", 1, 2, "fake-model")
    assert "judge me" not in json.dumps(line)


@local_only
def test_a_visitor_changes_what_the_deployment_lets_them(page: Page, fake: FakeOpenAI) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("spinbutton", name=re.compile("Temperature")).fill("1.5")
    page.get_by_role("textbox", name="System prompt").fill("Answer in verse.")
    ask(page, "a verse")
    request = fake.requests[-1]
    assert request["temperature"] == 1.5
    assert request["messages"][0] == {"role": "system", "content": "Answer in verse."}


@local_only
def test_a_visitor_who_waits_is_told_the_place_in_the_queue(
    opened: Callable[..., Page], start: Any, fake: FakeOpenAI
) -> None:
    app = start(CHATBOT_BASE_URL=fake.url, CHATBOT_CONCURRENT_ANSWERS="1").ready()
    first, second = opened(app.url), opened(app.url)
    send(first, "slowly")
    writing(first)
    second.get_by_role("button", name="New conversation").click()
    send(second, "my turn?")
    expect(second.locator("#notice")).to_contain_text("You are number 1 in the queue.")
    first.get_by_role("button", name="Stop").click()
    expect(answers(second).last).to_contain_text("You said: my turn?")


@local_only
def test_a_visitor_who_sends_too_quickly_is_told_how_long_to_wait(
    opened: Callable[..., Page], start: Any, fake: FakeOpenAI
) -> None:
    app = start(CHATBOT_BASE_URL=fake.url, CHATBOT_RATE_PER_MINUTE="6", CHATBOT_RATE_BURST="1").ready()
    page = opened(app.url)
    ask(page, "one")
    send(page, "two")
    expect(page.get_by_text(re.compile(r"too quickly. Please wait \d+ seconds"))).to_be_visible()
    settled(page, "failed")


@local_only
def test_an_unusable_model_is_a_banner_that_goes_when_it_is_back(opened: Callable[..., Page], start: Any) -> None:
    fake = FakeOpenAI(key="right").start()
    app = start(CHATBOT_BASE_URL=fake.url, CHATBOT_API_KEY="wrong")
    app.wait(lambda: app.lines("backend"), what="the failed check")
    page = opened(app.url)
    expect(page.get_by_role("alert")).to_contain_text("has to set a valid token")
    fake.key = "wrong"
    expect(page.get_by_role("alert")).to_be_hidden(timeout=20_000)
    fake.stop()
