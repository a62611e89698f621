"""The page when something is wrong: a model that fails, a full queue, a hostile answer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from tests.chatbot.browsing import anew, answers, ask, questions, ready, send, settled, writing
from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.served import Served, now

pytestmark = pytest.mark.browser
Serve = Callable[..., Served]


@pytest.mark.parametrize(
    ("question", "sentence"),
    [("401", "does not accept this site's token"), ("503", "not available"), ("cuts", "broke off"),
     ("stalls", "stopped in the middle"), ("garbage", "could not be read"), ("429", "too many requests")],
)  # fmt: skip
def test_a_fault_is_a_sentence_on_the_page_with_another_try_and_the_page_still_works(
    page: Page, served: Served, question: str, sentence: str
) -> None:
    since = now()
    send(page, question)
    expect(page.locator("#notice").get_by_text(sentence)).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    if question in ("cuts", "stalls"):
        expect(answers(page)).to_have_text(["The beginning"])
    settled(page, "failed")
    page.get_by_role("button", name="Try again").click()
    served.answered(since, count=2)
    settled(page, "failed")
    expect(page.locator("#notice").get_by_text(sentence)).to_be_visible()
    expect(questions(page)).to_have_count(1)
    send(page, "still there?")
    expect(answers(page).last).to_contain_text("You said:")
    settled(page)
    expect(page.get_by_role("button", name="Try again")).to_be_hidden()


def test_closing_the_tab_stops_the_generation(page: Page, served: Served, fake: FakeOpenAI) -> None:
    before, since = fake.abandoned, now()
    send(page, "slowly")
    writing(page)
    page.close()
    served.wait(lambda: fake.abandoned > before, what="the end of the generation")
    assert served.answered(since)[0]["stop"] == "visitor"


def test_a_visitor_who_waits_is_told_the_place_in_the_queue(
    opened: Callable[..., Page], serve: Serve, fake: FakeOpenAI
) -> None:
    narrow = serve(CHATBOT_BASE_URL=fake.url, CHATBOT_CONCURRENT_ANSWERS="1").ready()
    first, second = opened(narrow.url), opened(narrow.url)
    send(first, "slowly")
    writing(first)
    anew(second)
    send(second, "my turn?")
    expect(second.locator("#notice")).to_contain_text("You are number 1 in the queue.")
    first.get_by_role("button", name="Stop").click()
    expect(answers(second).last).to_contain_text("You said: my turn?")


def test_a_visitor_who_sends_too_quickly_is_told_how_long_to_wait(
    opened: Callable[..., Page], serve: Serve, fake: FakeOpenAI
) -> None:
    strict = serve(CHATBOT_BASE_URL=fake.url, CHATBOT_RATE_PER_MINUTE="6", CHATBOT_RATE_BURST="1").ready()
    page = opened(strict.url)
    ask(page, "one")
    send(page, "two")
    expect(page.get_by_text(re.compile(r"too quickly. Please wait \d+ seconds"))).to_be_visible()
    settled(page, "failed")


def test_an_unusable_model_is_a_banner_that_goes_when_it_is_back(opened: Callable[..., Page], serve: Serve) -> None:
    fake = FakeOpenAI(key="right").start()
    refused = serve(CHATBOT_BASE_URL=fake.url, CHATBOT_API_KEY="wrong")
    refused.wait(lambda: refused.lines("backend"), what="the failed check")
    page = opened(refused.url)
    expect(page.get_by_role("alert")).to_contain_text("does not accept this site's token")
    fake.key = "wrong"
    expect(page.get_by_role("alert")).to_be_hidden()
    fake.stop()


def test_no_request_leaves_the_host_and_the_console_stays_clean(context: BrowserContext, served: Served) -> None:
    page = context.new_page()
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(served.url)
    ready(page)
    ask(page, "markdown")
    assert [url for url in requested if not url.startswith((served.url, "data:", "blob:"))] == []
    assert complaints == []
    assert len([url for url in requested if "/queue/" in url]) == 2  # one question: one POST, one stream


def test_answers_run_no_script_and_fetch_nothing(page: Page) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    attack = "<script>window.hacked=1</script><img src=x onerror='window.hacked=1'>![x](https://evil.example/p.png)"
    ask(page, "script " + attack)
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


@pytest.mark.parametrize(
    "part", ["page/chat.js", "page/list.js", "page/page.css", "assets/Index-*.js", "assets/Index-*.css"]
)
def test_a_page_of_which_a_part_did_not_arrive_is_loaded_anew(
    context: BrowserContext, served: Served, part: str
) -> None:
    page = context.new_page()
    failed: list[str] = []

    def once(route: Route) -> None:
        if failed:
            return route.continue_()
        failed.append(route.request.url)
        route.abort("failed")

    page.route(f"**/{part}", once)
    page.goto(served.url)
    ready(page)
    ask(page, "all there?")
    assert len(failed) == 1


def _another_task(request: Request) -> str:
    """The address of an answer's stream at a task that has not heard of the question."""
    return re.sub("session_hash=[^&]*", "session_hash=nobody", request.url)


def test_a_question_whose_answer_was_asked_of_another_task_is_asked_again_by_itself(page: Page) -> None:
    """A release moved the traffic between a question's two requests: its POST, and the GET of its answer's stream."""
    streams: list[str] = []

    def torn(route: Route) -> None:
        streams.append(route.request.url)
        route.continue_(url=_another_task(route.request) if len(streams) == 1 else None)

    page.route("**/queue/data*", torn)
    send(page, "anybody there?")
    expect(answers(page)).to_have_text(["You said: anybody there?"])
    settled(page)
    assert len(streams) == 2
    expect(questions(page)).to_have_count(1)


def test_a_question_that_no_task_answers_is_left_to_the_visitor_after_another_try(page: Page) -> None:
    page.route("**/queue/data*", lambda route: route.continue_(url=_another_task(route.request)))
    with page.expect_request("**/queue/data*"), page.expect_navigation():
        send(page, "anybody there?")
    with page.expect_request("**/queue/data*"), page.expect_navigation():
        pass
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator("#notice")).to_contain_text("This question has no answer yet.")
    page.wait_for_timeout(1500)
    settled(page, "failed")


def test_a_page_that_never_arrives_whole_says_so(context: BrowserContext, served: Served) -> None:
    page = context.new_page()
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    page.route("**/page/store.js", lambda route: route.abort("failed"))
    page.goto(served.url)
    told = page.get_by_text("This page could not be loaded whole. Please reload it.")
    expect(told).to_be_visible(timeout=180_000)  # after five loads, and 12 seconds of pauses between them
    assert len(loads) == 5


@pytest.mark.parametrize(
    "part",
    ["<script src=/nothing.js>", "<link rel=stylesheet href=/nothing.css>", "<link rel=modulepreload href=/nothing.js>",
     "<img src=/nothing.png>", "<script src=http://127.0.0.1:9/foreign.js>"],
)  # fmt: skip
def test_a_page_that_works_is_left_alone_whatever_else_fails(
    context: BrowserContext, served: Served, part: str
) -> None:
    """At each load anew, and again and again: it ends, the page works, and it says nothing of being in parts."""
    page = context.new_page()
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    name, _, attributes = part.strip("<>").partition(" ")
    page.add_init_script(f"""setInterval(() => {{
        const element = document.createElement({name!r});
        for (const [, name, value] of {attributes!r}.matchAll(/(\\S+)=(\\S+)/g)) element.setAttribute(name, value);
        document.head?.append(element);
    }}, 50)""")
    page.goto(served.url)
    ready(page)
    page.evaluate("window.stays = true")
    ask(page, "all there?")
    page.wait_for_timeout(1500)
    assert page.evaluate("window.stays")
    assert len(loads) <= (5 if "/nothing.js" in part or "/nothing.css" in part else 1)
    expect(page.get_by_text("could not be loaded whole")).to_have_count(0)
