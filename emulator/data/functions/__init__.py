"""Lambda functions that really run: a zip is unpacked, and its Python handler is called in a child process."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.data import certificates
from emulator.state.children import Child, Children

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_KEEP_OUTPUT = 256 * 1024  # bytes of a function's output; what a log event can hold


@dataclass(frozen=True)
class Function:
    """What an invocation needs to know."""

    name: str
    arn: str
    handler: str
    code: bytes  # a zip
    environment: Mapping[str, str]
    timeout: int = 3  # seconds
    memory: int = 128  # MB; told to the function, not enforced
    version: str = "$LATEST"
    log_group: str = ""


@dataclass
class Outcome:
    """`error`: None, or "Unhandled" as Lambda's FunctionError; `payload`: JSON."""

    request: str
    payload: bytes
    error: str | None = None
    log: list[str] = field(default_factory=list)


def invoke(children: Children, folder: Path, function: Function, event: Any, log_stream: str = "") -> Outcome:
    """Runs `event` through the function and waits for its end, at most its timeout.

    `folder` exists; unpacked code stays there, and what an invocation writes while it runs.
    """
    request = str(uuid.uuid4())
    started = time.time()
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder, ignore_cleanup_errors=True) as scratch:
        result = Path(scratch) / "result.json"
        context = {
            "function_name": function.name, "function_version": function.version, "aws_request_id": request,
            "invoked_function_arn": function.arn, "memory_limit_in_mb": str(function.memory),
            "log_group_name": function.log_group, "log_stream_name": log_stream,
        }  # fmt: skip
        given = json.dumps({"event": event, "context": context}).encode()
        child = _spawn(children, function, unpacked(folder, function.code), result, scratch, started)
        output, in_time = _run(child, given, function.timeout)
        outcome = _outcome(request, child.returncode, result, function, in_time)
    took = (time.time() - started) * 1000
    outcome.log = [
        f"START RequestId: {request} Version: {function.version}",
        *output.decode(errors="replace").splitlines(),
        f"END RequestId: {request}",
        f"REPORT RequestId: {request}\tDuration: {took:.2f} ms\tBilled Duration: {int(took) + 1} ms\t"
        f"Memory Size: {function.memory} MB",
    ]
    return outcome


def unpacked(folder: Path, code: bytes) -> Path:
    """The folder of the code, by its digest; unpacked once, and never half."""
    target = folder / hashlib.sha256(code).hexdigest()
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(dir=folder))
        with zipfile.ZipFile(io.BytesIO(code)) as archive:
            archive.extractall(half)
        try:
            half.rename(target)
        except OSError:  # another invocation was first
            shutil.rmtree(half, ignore_errors=True)
    return target


def _spawn(
    children: Children, function: Function, code: Path, result: Path, scratch: str, started: float
) -> Child:  # fmt: skip
    argv = [sys.executable, "-u", str(_BOOTSTRAP), function.handler, str(result), str(started + function.timeout)]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}", "LANG": "C.UTF-8", "TZ": ":UTC",
        "HOME": scratch, "TMPDIR": scratch, "PYTHONDONTWRITEBYTECODE": "1", "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(code), **certificates.of_host(), **function.environment,
    }  # fmt: skip
    return children.spawn(
        argv, name=f"function {function.name}", env=environment, cwd=code,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _run(child: Child, given: bytes, timeout: int) -> tuple[bytes, bool]:
    """Its output, and whether it ended in time."""
    output = bytearray()

    def read() -> None:
        assert child.stdout is not None
        while chunk := child.stdout.read1(65536):  # type: ignore[attr-defined]
            output.extend(chunk[: max(0, _KEEP_OUTPUT - len(output))])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert child.stdin is not None
    try:
        child.stdin.write(given)
        child.stdin.close()
    except BrokenPipeError:
        pass  # it ended before it read: its return code says so
    in_time = child.wait(timeout) is not None
    if not in_time:
        child.kill()
        child.wait(5)
    reader.join(5)
    return bytes(output), in_time


def _outcome(request: str, returncode: int | None, result: Path, function: Function, in_time: bool) -> Outcome:
    def failed(kind: str, message: str) -> Outcome:
        described = {"errorType": kind, "errorMessage": f"RequestId: {request} Error: {message}"}
        return Outcome(request, json.dumps(described).encode(), "Unhandled")

    if not in_time:
        return failed("Sandbox.Timedout", f"Task timed out after {function.timeout}.00 seconds")
    if not result.exists():
        ended = f"exit status {returncode}" if (returncode or 0) >= 0 else f"signal: {-(returncode or 0)}"
        return failed("Runtime.ExitError", f"Runtime exited with error: {ended}")
    said = json.loads(result.read_text())
    if "error" in said:
        return Outcome(request, json.dumps(said["error"]).encode(), "Unhandled")
    return Outcome(request, json.dumps(said["answer"]).encode())
