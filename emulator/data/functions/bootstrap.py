"""Runs one event through a Python handler, as Lambda's runtime does; a script of its own, in a process of its own.

argv: the handler, the file of the result, the deadline (seconds since 1970). stdin: {"event": …, "context": {…}}.
https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Context:
    """What a handler is given as its second argument."""

    def __init__(self, deadline: float, members: dict[str, Any]) -> None:
        vars(self).update(members)
        self._deadline = deadline
        self.identity = None
        self.client_context = None

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))

    def log(self, message: str) -> None:
        sys.stdout.write(message)


class HandlerError(Exception):
    """The handler could not be found; `kind` is Lambda's errorType."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def find(handler: str) -> Callable[[Any, Context], Any]:
    module, _, name = handler.rpartition(".")
    if not module:
        raise HandlerError("Runtime.MalformedHandlerName", f"Bad handler '{handler}': not enough values to unpack")
    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        raise HandlerError("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}") from error
    except SyntaxError as error:
        raise HandlerError("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}") from error
    found = getattr(loaded, name, None)
    if found is None:
        raise HandlerError("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module}'")
    handle: Callable[[Any, Context], Any] = found
    return handle


def failure(error: BaseException, request: str) -> dict[str, Any]:
    """Lambda's description of an exception; the frames of this file are not the user's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return {
        "errorMessage": str(error),
        "errorType": error.kind if isinstance(error, HandlerError) else type(error).__name__,
        "requestId": request,
        "stackTrace": [] if isinstance(error, HandlerError) else traceback.format_list(frames),
    }


def main(handler: str, result: str, deadline: str) -> None:
    given = json.load(sys.stdin)
    request = given["context"]["aws_request_id"]
    sys.path.insert(0, str(Path.cwd()))
    try:
        answer = find(handler)(given["event"], Context(float(deadline), given["context"]))
        text = json.dumps({"answer": answer})
    except Exception as error:  # whatever the handler raises is its answer
        described = failure(error, request)
        print(f"[ERROR] {described['errorType']}: {described['errorMessage']}\nTraceback (most recent call last):")
        print("".join(described["stackTrace"]), end="", flush=True)
        text = json.dumps({"error": described})
    Path(result).write_text(text)


if __name__ == "__main__":
    sys.path.pop(0)  # this file's folder: its neighbours are not the function's modules
    main(*sys.argv[1:])
