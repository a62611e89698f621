"""Requests at a steady pace in the background, each answer kept: what a visitor would have seen."""

from __future__ import annotations

import collections
import threading
import time
import urllib.error
import urllib.request
from types import TracebackType


class Traffic:
    """`with Traffic(url) as traffic: …`, then `traffic.failures` (kind -> count) and `traffic.count`.

    `per_second` requests on `paths` in turn; anything but 2xx and 3xx is a failure.
    """

    def __init__(self, url: str, per_second: float = 20, paths: tuple[str, ...] = ("/", "/healthz")) -> None:
        self.count = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self._url, self._pause, self._paths = url, 1 / per_second, paths
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(self._pause * len(self._threads)):
            path = self._paths[self.count % len(self._paths)]
            self.count += 1
            try:
                with urllib.request.urlopen(self._url + path, timeout=20) as answer:
                    answer.read()
            except urllib.error.HTTPError as error:
                self.failures[f"{path} {error.code}"] += 1
            except OSError as error:
                self.failures[f"{path} {type(error).__name__}: {error}"] += 1


def until(condition: object, seconds: float, what: str) -> None:
    """Waits until the callable `condition` is true; after `seconds` the test fails, saying `what` did not happen."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)
