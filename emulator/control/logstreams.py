"""Lines on their way to CloudWatch Logs, written as AWS's services write theirs."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from botocore.exceptions import ClientError

from emulator.state.clients import DEVELOPER, Credentials
from emulator.state.store import Store

log = logging.getLogger("emulator.logs")

_BATCH = 1000  # events; PutLogEvents takes 10,000 and a megabyte


class LogStream:
    """A log stream, made on its first line (its group too). A log that cannot be written never fails who writes it."""

    def __init__(
        self, store: Store, region: str, group: str, stream: str, credentials: Credentials = DEVELOPER
    ) -> None:  # fmt: skip
        self.group, self.stream = group, stream
        self._logs = store.clients("logs", region, credentials)
        self._lock = threading.Lock()
        self._waiting: list[dict[str, int | str]] = []
        self._made = False

    @property
    def is_there(self) -> bool:
        return self._made

    def write(self, lines: list[str]) -> None:
        """Keeps `lines` with this moment's time until the next `flush`."""
        now = int(time.time() * 1000)
        with self._lock:
            # CloudWatch Logs takes no empty message.
            self._waiting.extend({"timestamp": now, "message": line[:200_000] or " "} for line in lines)

    def flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        try:
            if waiting and not self._made:
                self._make()
            for first in range(0, len(waiting), _BATCH):
                self._logs.put_log_events(
                    logGroupName=self.group, logStreamName=self.stream, logEvents=waiting[first : first + _BATCH]
                )
        except ClientError as error:
            log.warning("log stream %s %s: %s", self.group, self.stream, error)

    def _make(self) -> None:
        known = self._logs.exceptions
        with contextlib.suppress(known.ResourceAlreadyExistsException):
            try:
                self._logs.create_log_stream(logGroupName=self.group, logStreamName=self.stream)
            except known.ResourceNotFoundException:  # a role that may not make groups is asked to only now
                self._logs.create_log_group(logGroupName=self.group)
                self._logs.create_log_stream(logGroupName=self.group, logStreamName=self.stream)
        self._made = True
