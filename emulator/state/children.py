"""Child processes that cannot outlive the emulator: one place spawns, records, watches and ends them all.

Three ropes, each enough for its case: the kernel's parent-death signal for the child itself; a guardian process that
notices our end by a closed pipe and ends all that a child started; a record on disk from which the next start reaps.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from emulator.state import guardian

log = logging.getLogger("emulator.children")

_PR_SET_PDEATHSIG = 1
# PyDLL keeps the interpreter lock: between fork and exec nothing may be waited for.
_prctl = getattr(ctypes.PyDLL(None), "prctl", None) if sys.platform == "linux" else None


class Child:
    """A process and all it started. `returncode` as subprocess has it: negative is the signal that ended it."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], mark: str) -> None:
        self.name = name
        self.pid = process.pid
        self.mark = mark
        self.stdin: IO[bytes] | None = process.stdin
        self.stdout: IO[bytes] | None = process.stdout
        self.stderr: IO[bytes] | None = process.stderr
        self.returncode: int | None = None
        self._process = process
        self._ended = threading.Event()

    def poll(self) -> int | None:
        """The return code, None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits for its end; None when it still runs after `timeout` seconds."""
        self._ended.wait(timeout)
        return self.returncode

    def signal(self, number: int) -> None:
        """Sends a signal to the process alone; nothing happens when it has ended."""
        if not self._ended.is_set():
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to it and to all it started."""
        if not self._ended.is_set():
            guardian.end(self.pid, self.mark)

    def stop(self, grace: float = 10) -> int | None:
        """SIGTERM, and after `grace` seconds SIGKILL, as ECS stops a container; answers the return code."""
        self.signal(signal.SIGTERM)
        if self.wait(grace) is None:
            self.kill()
        return self.wait(10)

    def watch(self, forget: Callable[[Child], None], on_exit: Callable[[Child], None] | None) -> None:
        # Before the process is reaped its number cannot be given to another: the moment to end what it left behind.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        guardian.end(self.pid, self.mark)
        self.returncode = self._process.wait()
        forget(self)
        self._ended.set()
        if on_exit:
            on_exit(self)


class Children:
    """Spawns and remembers. `record`: a folder of its own; without one (tests) nothing is reaped after a kill -9."""

    def __init__(self, record: Path | None = None) -> None:
        self.reaped: list[str] = []  # what an earlier emulator, killed, had left
        self._record = record
        self._lock = threading.Lock()
        self._alive: dict[int, Child] = {}
        self._closing = False
        self._guardian: subprocess.Popen[bytes] | None = None
        # The death signal comes when the *thread* that forked ends, so one thread that stays forks them all.
        self._forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")
        if record:
            record.mkdir(parents=True, exist_ok=True)
            self.reaped = guardian.reap(record)
            self._guardian = self._post_guardian(record)
            threading.Thread(target=self._keep_guardian, args=(record,), name="guardian", daemon=True).start()

    def spawn(
        self,
        argv: Sequence[str],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        on_exit: Callable[[Child], None] | None = None,
        **options: Any,
    ) -> Child:
        """Starts a process in a group of its own; `options` are subprocess.Popen's (stdin, stdout, pass_fds, umask, …).

        stdin is /dev/null unless given. `on_exit` is called once, from another thread, after the end of all it started.
        Raises OSError (FileNotFoundError, PermissionError, …) when the program cannot be started.
        """
        mark = str((self._record or Path()) / uuid.uuid4().hex)
        options = {"stdin": subprocess.DEVNULL, **options, "start_new_session": True}
        options["preexec_fn"] = _die_with(os.getpid())
        marked = {**(os.environ if env is None else env), guardian.MARK: mark}

        def fork() -> subprocess.Popen[bytes]:
            return subprocess.Popen(list(argv), env=marked, cwd=cwd, **options)

        process = self._forker.submit(fork).result()
        child = Child(name, process, mark)
        if self._record:
            Path(mark).write_text(f"{child.pid}\n{guardian.started(child.pid) or ''}\n{name}\n")
        with self._lock:
            self._alive[child.pid] = child
        threading.Thread(target=child.watch, args=(self._forget, on_exit), name=f"watch {name}", daemon=True).start()
        return child

    def alive(self) -> list[Child]:
        with self._lock:
            return list(self._alive.values())

    def close(self, grace: float = 10) -> None:
        """Stops every child, all at the same time, and then certainly."""
        children = self.alive()
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        for child in children:
            if child.wait(max(0.0, deadline - time.monotonic())) is None:
                child.kill()
                child.wait(5)
        self._closing = True
        self._forker.shutdown()
        if self._guardian and self._guardian.stdin:
            self._guardian.stdin.close()
            self._guardian.wait(10)

    def _forget(self, child: Child) -> None:
        with self._lock:
            self._alive.pop(child.pid, None)
        if self._record:
            Path(child.mark).unlink(missing_ok=True)

    def _post_guardian(self, record: Path) -> subprocess.Popen[bytes]:
        """It reads a pipe whose other end only we hold, and reaps when that closes."""
        argv = [sys.executable, "-I", "-S", guardian.__file__, str(record)]
        environ = {**os.environ, guardian.MARK: str(record / "guardian")}
        return subprocess.Popen(argv, env=environ, stdin=subprocess.PIPE, start_new_session=True)

    def _keep_guardian(self, record: Path) -> None:
        while True:
            if self._guardian:
                self._guardian.wait()
            if self._closing:
                return
            log.warning("the guardian of the child processes was killed; posting another")
            time.sleep(0.2)
            self._guardian = self._post_guardian(record)


def _die_with(parent: int) -> Callable[[], None] | None:
    if _prctl is None:
        return None

    def tie() -> None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between fork and here
            os._exit(1)

    return tie
