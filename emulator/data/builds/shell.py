"""One shell that runs a build's commands one after the other, so that `cd` and `export` last, as buildspec 0.2 says."""

from __future__ import annotations

import subprocess
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from emulator.state.children import Child, Children

# Reads the names of files from stdin and sources each; a marker on stdout says how it ended, in order with its output.
_LOOP = """
while IFS= read -r __file; do
  . "$__file" </dev/null
  __code=$?
  export -p >"$__state"; pwd >"$__where"
  printf '%s %s\\n' "$__marker" "$__code"
done
"""


class Interrupted(Exception):
    """The build was stopped, or its time was over; the message is which."""


class Shell:
    """`on_line` gets every line of output; `interrupted` is asked while a command runs and answers why it must end."""

    def __init__(
        self, children: Children, shell: str, scratch: Path, cwd: Path, environment: Mapping[str, str],
        on_line: Callable[[str], None], interrupted: Callable[[], str | None],
    ) -> None:  # fmt: skip
        self._children, self._shell, self._scratch = children, shell, scratch
        self._environment = dict(environment)
        self._on_line, self._interrupted = on_line, interrupted
        self._marker = f"\x1e{uuid.uuid4().hex}"
        self._state, self._where, self._file = scratch / "state", scratch / "where", scratch / "command"
        self._where.write_text(str(cwd))
        self._child: Child | None = None
        self._ended = threading.Event()
        self._code: int | None = None

    def run(self, command: str) -> int:
        """The exit status of `command`. A command that ends the shell itself (`exit 3`) ends only that one."""
        if self._child and self._child.poll() is not None:  # what ran in the background ended it
            self._child = None
        child = self._child or self._start()
        self._file.write_text(command + "\n")
        self._code = None
        self._ended.clear()
        assert child.stdin is not None
        child.stdin.write(f"{self._file}\n".encode())
        child.stdin.flush()
        while not self._ended.wait(0.1):
            if why := self._interrupted():
                self.close()
                raise Interrupted(why)
        if self._code is not None:
            return self._code
        returncode = child.wait(10) or 0
        self._child = None
        return returncode if returncode >= 0 else 128 - returncode

    def value(self, expression: str) -> str:
        """What the shell makes of a word: `value('"$NAME"')`."""
        out = self._scratch / "value"
        self.run(f"printf '%s' {expression} >'{out}' 2>/dev/null")
        return out.read_text() if out.exists() else ""

    def close(self) -> None:
        if self._child:
            self._child.kill()
            self._child.wait(10)
            self._child = None

    def _start(self) -> Child:
        environment = {**self._environment, "__state": str(self._state), "__where": str(self._where)}
        again = '. "$__state"; ' if self._state.exists() else ""
        script = f'{again}cd "$(cat "$__where")"; __marker="{self._marker}"\n{_LOOP}'
        child = self._children.spawn(
            [self._shell, "-c", script], name="build", env=environment, cwd=self._scratch,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(child,), name="build output", daemon=True).start()
        self._child = child
        return child

    def _read(self, child: Child) -> None:
        assert child.stdout is not None
        for raw in child.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            text, marker, code = line.partition(self._marker)
            if text or not marker:
                self._on_line(text)
            if marker:
                self._code = int(code)
                self._ended.set()
        self._ended.set()
