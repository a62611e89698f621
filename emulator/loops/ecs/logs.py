"""The awslogs driver: a container's lines to CloudWatch Logs, in order, in batches, never holding it up."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any

from botocore.exceptions import ClientError

from emulator.control.ecs.tables import Task
from emulator.loops.ecs.failures import initialization
from emulator.state.clients import Credentials
from emulator.state.store import Store

log = logging.getLogger("emulator.ecs")

# PutLogEvents' own limits, with room, and how much may wait before the oldest lines go (awslogs' non-blocking mode).
_EVENTS, _BYTES, _OVERHEAD = 5_000, 900_000, 26
_BUFFER = 10_000_000
_GATHER = 0.5  # seconds in which lines become one batch


class LogStream:
    """One container's stream. `write` never waits; `close` sends what is left."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        self._client = client
        self._group, self._stream = group, stream
        self._waiting: deque[tuple[int, str]] = deque()
        self._size = 0
        self._dropped = 0
        self._bell = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._ship, name=f"awslogs {stream}", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        if not text:
            return  # an event must not be empty
        with self._bell:
            self._waiting.append((int(time.time() * 1000), text))
            self._size += len(line)
            while self._size > _BUFFER:
                self._size -= len(self._waiting.popleft()[1].encode())
                self._dropped += 1
            self._bell.notify()

    def close(self) -> None:
        with self._bell:
            self._closing = True
            self._bell.notify()
        self._thread.join(5)

    def _ship(self) -> None:
        while batch := self._batch():
            try:
                self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=batch)
            except ClientError as error:  # the group was deleted under the task: as on AWS its lines are lost
                log.warning("logs of %s: %s", self._stream, error)
            except Exception:
                log.exception("logs of %s", self._stream)

    def _batch(self) -> list[dict[str, Any]]:
        """The next events, oldest first; empty when it is closed and all is sent."""
        with self._bell:
            self._bell.wait_for(lambda: self._waiting or self._closing)
            if not self._closing:
                self._bell.wait_for(lambda: self._closing or len(self._waiting) >= _EVENTS, _GATHER)
            events: list[dict[str, Any]] = []
            size = 0
            if self._dropped:
                events.append(
                    _event(self._waiting[0][0], f"[awslogs: {self._dropped} lines dropped, the buffer was full]")
                )
                self._dropped = 0
            while self._waiting and len(events) < _EVENTS:
                cost = len(self._waiting[0][1].encode()) + _OVERHEAD
                if events and size + cost > _BYTES:
                    break
                moment, text = self._waiting.popleft()
                size += cost
                events.append(_event(moment, text))
            self._size = max(0, self._size - size) if self._waiting else 0
            return events


def _event(moment: int, text: str) -> dict[str, Any]:
    return {"timestamp": moment, "message": text}


def open_stream(store: Store, task: Task, definition: dict[str, Any], credentials: Credentials) -> LogStream | None:
    """The container's stream `prefix/container/task`, made with the execution role; None with another driver."""
    configuration = definition.get("logConfiguration")
    if not configuration or configuration["logDriver"] != "awslogs":
        return None
    options = configuration.get("options") or {}
    group = options["awslogs-group"]
    client = store.clients("logs", options.get("awslogs-region") or task.region, credentials)
    prefix = options.get("awslogs-stream-prefix")
    stream = f"{prefix}/{definition['name']}/{task.id}" if prefix else task.id
    if str(options.get("awslogs-create-group", "")).lower() == "true":
        _unless_there(client, client.create_log_group, logGroupName=group)
    try:
        _unless_there(client, client.create_log_stream, logGroupName=group, logStreamName=stream)
    except ClientError as error:
        said = error.response["Error"]
        raise initialization(
            "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log"
            f" stream: {said['Code']}: {said.get('Message', '')} : exit status 1"
        ) from None
    return LogStream(client, group, stream)


def _unless_there(client: Any, create: Any, **names: str) -> None:
    try:
        create(**names)
    except client.exceptions.ResourceAlreadyExistsException:
        return
