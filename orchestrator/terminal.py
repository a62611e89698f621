"""The terminal: where every verb's output and its exit code come from; options that the verbs share."""

from __future__ import annotations

import codecs
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.live import Live

from orchestrator import commands, view
from orchestrator import config as configuration
from orchestrator.errors import DeployError, Interrupted, Refused
from orchestrator.runner import Event, Runner
from orchestrator.tools.process import make_private

Env = Annotated[str, typer.Option("--env", "-e", help="Environment: environments/NAME.toml.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="A setting; beats the file.")]
Root = Annotated[Path, typer.Option("--root", help="The checkout that is deployed.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable results, alone on standard output.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="Ask AWS for drift even where nothing changed here.")]
Rebuild = Annotated[
    bool, typer.Option("--rebuild", help="Build the image anew, its bases pulled again and nothing from a cache.")
]
Unchecked = Annotated[bool, typer.Option("--unchecked", help="Store it without asking the model with it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
PLAIN = {"→": "->", "✓": "ok", "✗": "x", "·": "-", "…": "...", "±": "+/-", "█": "#"}


class Terminal:
    """One verb's output: people on stdout, or JSON on stdout and people on stderr."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=as_json, highlight=False, soft_wrap=True)
        self._board = view.Board()
        self._live: Live | None = None

    def say(self, line: str) -> None:
        self.console.print(line, markup=False)

    def watch(self, event: Event) -> None:
        line = self._board.update(event)
        if self._live is None and line:
            self.say(line)

    def complain(self, error: DeployError) -> None:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("error:", style="bold red", end=" ")
        console.print(error.what, markup=False)
        if error.remedy:
            console.print(f"→ {error.remedy}", markup=False)

    def table(self, data: list[tuple[str, ...]]) -> None:
        """Columns on a terminal; where there is none, one line per row that is never cut or wrapped."""
        if self.console.is_terminal:
            self.console.print(view.rows(data))
        else:
            for line in view.plain(data):
                self.say(line)

    def verdict(self, told: dict[str, Any]) -> None:
        """Whether visitors are served, and every fault that was found."""
        self.console.print(view.headline(told))
        self.table(view.faults(told))

    def result(self, value: dict[str, Any]) -> None:
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")

    def _leave(self, what_goes_on: str) -> NoReturn:
        """Ends the program where it stands; the guard beside Terraform sees to what it was doing."""
        if self._live is not None:
            self._live.stop()
        self.say("; ".join(filter(None, ("left at once", what_goes_on, "go on with the same command"))))
        end_now(Interrupted.exit_code)

    @contextmanager
    def board(self, runner: Runner) -> Iterator[None]:
        """Shows the phases live on a terminal; Ctrl-C stops Terraform gracefully instead of us."""

        def interrupt(*_: object) -> None:
            again = runner.site.cancel.requested
            saving = ", ".join(runner.interrupt())
            if again:
                goes_on = f"Terraform goes on saving the state of {saving}: the next run waits for it"
                self._leave(goes_on if saving else "")
            waits = f"; waits for Terraform to save the state of {saving} (Ctrl-C again: without waiting)"
            self.say(f"interrupted: nothing more is begun{waits if saving else ''}")

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            if self.console.is_terminal:
                with Live(self._board, console=self.console, refresh_per_second=8) as self._live:
                    yield
            else:
                yield
        finally:
            self._live = None
            signal.signal(signal.SIGINT, before)


@contextmanager
def errors(terminal: Terminal, root: Path) -> Iterator[None]:
    """Ends the program with the exit code and the message of an error of ours; nobody is shown a traceback."""
    try:
        yield
    except (DeployError, BrokenPipeError, typer.Exit) as error:
        _end(terminal, error)
    except Exception as error:
        _end(terminal, _of_aws(error) or _defect(error, root))
    except KeyboardInterrupt:
        terminal.say("interrupted; what AWS has begun goes on by itself")
        raise typer.Exit(Interrupted.exit_code) from None


def _end(terminal: Terminal, error: Exception) -> NoReturn:
    if isinstance(error, BrokenPipeError):  # `status | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(128 + signal.SIGPIPE) from None
    if not isinstance(error, DeployError):
        raise error
    terminal.complain(error)
    terminal.result({"error": error.what, "remedy": error.remedy, "exit_code": error.exit_code})
    raise typer.Exit(error.exit_code) from None


def _of_aws(error: Exception) -> DeployError | None:
    """An error of the SDK that nobody has explained."""
    if not type(error).__module__.startswith("botocore."):
        return None
    from orchestrator.tools.aws import explained

    try:
        with explained("a call of AWS"):
            raise error
    except DeployError as ours:
        return ours


def _defect(error: Exception, root: Path) -> DeployError:
    """A mistake of this program; where it happened goes to a file that only its owner reads."""
    log, kept = root / ".orchestrator/defect.log", "it to the project's issues"
    text = "".join(traceback.format_exception(error))
    try:
        make_private(log.parent)
        log.write_text(text, encoding="utf-8")
        kept = f"{log} to the project's issues"
    except OSError:
        pass  # the sentence says the most of it
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name} line {frame.lineno}"
    return DeployError(
        f"this program made a mistake: {type(error).__name__}: {error} ({where})", f"please report {kept}"
    )


def run(env: str, sets: list[str] | None, root: Path, as_json: bool, job: Callable[[Runner, Terminal], None]) -> None:
    terminal = Terminal(as_json)
    commands.use(env)
    with errors(terminal, root.resolve()):
        config = configuration.load(env, root.resolve(), sets or ())
        job(Runner(config, terminal.watch, terminal.say), terminal)


def plain(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler for terminals that do not speak UTF-8: arrows and ticks in letters that each one has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter, "?") for letter in lost), error.end


def speak_plainly() -> None:
    """Lets no terminal's encoding end the program."""
    codecs.register_error("plain", plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def end_now(code: int) -> NoReturn:
    """Ends the program without joining its threads: one may hang in a call of AWS for a minute."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise Refused("there is no terminal to ask on", "add --yes")
    if not typer.confirm(question):
        raise Refused("not confirmed", "nothing was touched")
