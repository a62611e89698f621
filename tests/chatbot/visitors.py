"""A visitor in each of three engines, in the same words: Chromium and Firefox by Playwright, WebKit by Selenium."""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chatbot.browsing import PATIENCE
from tests.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Playwright
    from selenium.webdriver.remote.webdriver import WebDriver

QUIET_CHROMIUM = Path(__file__).parents[1] / "quiet_chromium"
MINI_BROWSERS = "/usr/lib/*/webkit2gtk-4.*/MiniBrowser"
BOX, QUESTIONS, ANSWERS = "#box textarea", "#chat [data-testid=user]", "#chat [data-testid=bot]"


class Visitor(ABC):
    """A tab. What it stores it shares with the tabs that it opened, and with nobody else."""

    version: str

    @abstractmethod
    def goto(self, url: str) -> None: ...

    @abstractmethod
    def reload(self) -> None: ...

    @abstractmethod
    def back(self) -> None: ...

    @abstractmethod
    def resize(self, width: int, height: int) -> None: ...

    @abstractmethod
    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of a function gives that is called with the arguments."""

    @abstractmethod
    def click(self, selector: str) -> None:
        """By the mouse, on the first of what is seen."""

    @abstractmethod
    def write(self, text: str) -> None:
        """By the keyboard, where the focus is."""

    @abstractmethod
    def press(self, keys: str) -> None:
        """A key, or several at once: Enter, Shift+Enter, Control+a."""

    @abstractmethod
    def tab(self) -> Visitor:
        """A second one."""

    @abstractmethod
    def photograph(self, path: Path) -> None: ...

    @abstractmethod
    def leave(self) -> None:
        """With all tabs."""

    def open(self, url: str) -> Visitor:
        """Go to the chatbot, and wait until it can be written on."""
        self.goto(url)
        return self.ready()

    def ready(self) -> Visitor:
        self.until(
            "return /idle|failed/.test(document.body?.dataset.state) && document.querySelector(arguments[0]) !== null",
            BOX,
        )
        return self

    def until(self, script: str, *arguments: Any) -> Any:
        """Wait for the script to give something."""
        return eventually(lambda: self.run(script, *arguments), PATIENCE / 1000, script)

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText.trim())"
        return list(self.run(script, selector))

    def state(self, name: str) -> None:
        """Wait for the page's state: idle, answering or failed."""
        self.until("return document.body?.dataset.state === arguments[0]", name)

    def value(self) -> str:
        """What stands in the box."""
        return str(self.run("return document.querySelector(arguments[0]).value", BOX))

    def send(self, text: str) -> None:
        self.click(BOX)
        self.write(text)
        self.press("Enter")

    def ask(self, text: str) -> str:
        """Send a question; its answer."""
        self.send(text)
        self.until(
            """const [questions, answers] = [...arguments].slice(0, 2).map((one) => [...document.querySelectorAll(one)])
            const asked = questions.at(-1)?.innerText.trim() === arguments[2]
            return asked && answers.length === questions.length && document.body?.dataset.state === 'idle'""",
            QUESTIONS,
            ANSWERS,
            text,
        )
        return self.texts(ANSWERS)[-1]


class _ByPlaywright(Visitor):
    def __init__(self, context: BrowserContext, version: str) -> None:
        self._context, self._page, self.version = context, context.new_page(), version

    def goto(self, url: str) -> None:
        self._page.goto(url, wait_until="commit")  # the page may load itself anew before it has arrived

    def reload(self) -> None:
        self._page.reload()

    def back(self) -> None:
        self._page.go_back()

    def resize(self, width: int, height: int) -> None:
        self._page.set_viewport_size({"width": width, "height": height})

    def run(self, script: str, *arguments: Any) -> Any:
        from playwright.sync_api import Error

        try:
            return self._page.evaluate(f"(given) => (function () {{ {script} }}).apply(null, given)", list(arguments))
        except Error as error:
            if "navigation" in str(error) or "destroyed" in str(error):  # the page is being loaded
                return None
            raise

    def click(self, selector: str) -> None:
        self._page.locator(selector).locator("visible=true").first.click()

    def write(self, text: str) -> None:
        self._page.keyboard.type(text)

    def press(self, keys: str) -> None:
        self._page.keyboard.press(keys)

    def tab(self) -> Visitor:
        return _ByPlaywright(self._context, self.version)

    def photograph(self, path: Path) -> None:
        self._page.screenshot(path=path)

    def leave(self) -> None:
        self._context.close()


class _BySelenium(Visitor):
    def __init__(self, driver: WebDriver, version: str) -> None:
        self._driver, self._handle, self.version = driver, driver.current_window_handle, version

    @property
    def _at(self) -> WebDriver:
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver

    def goto(self, url: str) -> None:
        self._at.get(url)

    def reload(self) -> None:
        self._at.refresh()

    def back(self) -> None:
        self._at.back()

    def resize(self, width: int, height: int) -> None:
        self._at.set_window_size(width, height)

    def run(self, script: str, *arguments: Any) -> Any:
        return self._at.execute_script(script, *arguments)  # type: ignore[no-untyped-call]

    def click(self, selector: str) -> None:
        from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException

        def clicked() -> bool:
            try:
                for one in self._at.find_elements("css selector", selector):
                    if one.is_displayed():
                        one.click()
                        return True
            except (ElementClickInterceptedException, StaleElementReferenceException):
                pass  # it moves, or is drawn anew
            return False

        eventually(clicked, PATIENCE / 1000, f"a click on {selector}")

    def write(self, text: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self._at).send_keys(text).perform()

    def press(self, keys: str) -> None:
        from selenium.webdriver import ActionChains, Keys

        *held, key = (getattr(Keys, _selenium(name), name) for name in keys.split("+"))
        chain = ActionChains(self._at)
        for each in held:
            chain.key_down(each)
        chain.send_keys(key)
        for each in held:
            chain.key_up(each)
        chain.perform()

    def tab(self) -> Visitor:
        self._at.switch_to.new_window("tab")
        return _BySelenium(self._driver, self.version)

    def photograph(self, path: Path) -> None:
        self._at.save_screenshot(str(path))

    def leave(self) -> None:
        self._driver.quit()


def _selenium(key: str) -> str:
    return key.upper() if not key.startswith("Arrow") else f"ARROW_{key[5:].upper()}"


Begin = Callable[[], Visitor]


@contextmanager
def _playwright(launch: Callable[[Playwright], Browser]) -> Iterator[Begin]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = launch(playwright)

        def begin() -> Visitor:
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            context.set_default_timeout(PATIENCE)
            return _ByPlaywright(context, browser.version)

        yield begin
        browser.close()


def chromium(playwright: Playwright) -> Browser:
    """The system's, or the one that CHROMIUM names."""
    if not (os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")):
        pytest.skip("Chromium is not installed (Debian: chromium)")
    return playwright.chromium.launch(executable_path=QUIET_CHROMIUM, args=["--no-sandbox"])


def firefox(playwright: Playwright) -> Browser:
    """The system's as it is, over WebDriver BiDi."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if not program:
        pytest.skip("Firefox is not installed (Debian: firefox-esr)")
    return playwright.firefox.launch(channel="moz-firefox", executable_path=program)


@contextmanager
def webkit() -> Iterator[Begin]:
    """Debian's WebKitGTK, on a display of its own."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    driver, display = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
    browsers = sorted(Path("/").glob(MINI_BROWSERS[1:]))
    if not (driver and display and browsers):
        pytest.skip("WebKit is not installed (Debian: webkit2gtk-driver, xvfb)")
    seen, tells = os.pipe()
    command = [display, "-displayfd", str(tells), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[tells], stderr=subprocess.DEVNULL) as server, os.fdopen(seen) as number:
        os.close(tells)
        environment = {**os.environ, "DISPLAY": f":{number.readline().strip()}"}

        def begin() -> Visitor:
            options = selenium.WebKitGTKOptions()
            options.binary_location = str(browsers[-1])
            options.add_argument("--automation")
            service = selenium.WebKitGTKService(driver, env=environment)
            browser = selenium.WebKitGTK(options=options, service=service)
            browser.set_window_size(1280, 900)
            return _BySelenium(browser, browser.capabilities["browserVersion"])

        try:
            yield begin
        finally:
            server.terminate()


ENGINES: dict[str, Callable[[], AbstractContextManager[Begin]]] = {
    "Chromium": lambda: _playwright(chromium),
    "Firefox": lambda: _playwright(firefox),
    "WebKit": webkit,
}
