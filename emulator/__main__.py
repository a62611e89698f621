"""The command line: start, stop, status, logs and connect. The only place that prints and exits."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from emulator import __version__, daemon
from emulator.daemon import DaemonError, Options
from emulator.state.config import Config

_PORT = "4566"  # what localstack-client expects


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    config = Config(arguments.port)
    if arguments.command == "start":
        config.runtime, config.iam, config.key = arguments.runtime, arguments.iam, arguments.key
        config.allow_hosts, config.allow_origins = tuple(arguments.allow_host), tuple(arguments.allow_origin)
    options = Options(Path(arguments.folder).resolve(), config)
    try:
        return _COMMANDS[arguments.command](options, arguments)
    except DaemonError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    environ = os.environ
    folder = environ.get("EMULATOR_FOLDER", ".emulator")
    common.add_argument("--folder", default=folder, help="where images, repositories and the log are kept")
    common.add_argument("--port", type=_port, default=environ.get("EMULATOR_PORT", _PORT), help="default: %(default)s")
    parser = argparse.ArgumentParser(prog="python -m emulator", description="AWS on one machine.")
    parser.add_argument("--version", action="version", version=f"emulator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="start|stop|status|logs|connect")
    start = commands.add_parser("start", parents=[common], help="start it in the background, and wait until it answers")
    start.add_argument("--runtime", choices=["auto", "process", "docker"], default="auto", help="what tasks run in")
    iam_help = "calls that a role's policies do not allow: log them, answer AccessDenied, or let them pass"
    start.add_argument(
        "--iam", choices=["log", "enforce", "off"], default=environ.get("EMULATOR_IAM", "log"), help=iam_help
    )
    start.add_argument(
        "--allow-host", metavar="NAME", action="append", default=_words("EMULATOR_ALLOW_HOST"), type=str.lower,
        help="another name by which it may be called; may be repeated",
    )  # fmt: skip
    start.add_argument(
        "--allow-origin", metavar="URL", action="append", default=_words("EMULATOR_ALLOW_ORIGIN"),
        help="web pages that may call it, as http://localhost:3000; may be repeated",
    )  # fmt: skip
    key_help = "the secret that calls must be signed with, instead of 'test' (better: EMULATOR_KEY, which nobody sees)"
    key = environ.get("EMULATOR_KEY", "")
    start.add_argument("--key", metavar="SECRET", default=key, help=key_help)
    start.add_argument("--foreground", action="store_true", help="stay; Ctrl-C stops it")
    commands.add_parser("stop", parents=[common], help="stop it with all it runs, and show that nothing is left")
    status = commands.add_parser("status", parents=[common], help="what runs; exit code 1 when it is not running")
    status.add_argument("--json", action="store_true", help="for programs")
    logs = commands.add_parser("logs", parents=[common], help="its own log")
    logs.add_argument("-f", "--follow", action="store_true", help="go on printing what comes")
    connect_help = "accept connections to GitHub, as in AWS's console; a repository here stands in for the one there"
    connect = commands.add_parser("connect", parents=[common], help=connect_help)
    connect.add_argument("--key", metavar="SECRET", default=key, help=key_help)
    connect.add_argument("repository", metavar="OWNER/REPOSITORY")
    connect.add_argument("--connection", metavar="NAME", help="this one only; default: all that wait")
    return parser


def _words(variable: str) -> list[str]:
    return os.environ.get(variable, "").split()


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{port} is not a port (1 to 65535)")
    return port


def _start(options: Options, arguments: argparse.Namespace) -> int:
    if arguments.foreground:
        return _serve(options)
    found = daemon.running(options.folder)
    if found and found.port != options.config.port:
        raise DaemonError(
            f"the emulator of {options.folder} is running on port {found.port} (pid {found.pid}); "
            "stop it (python -m emulator stop), or take another folder (--folder) for a second one"
        )
    if found:
        print(f"emulator is already running at {found.url} (pid {found.pid})")
        return 0
    for name in daemon.clean(options):
        print(f"ended what a killed emulator left behind: {name}")
    found = daemon.start(options)
    print(f"emulator is running at {found.url} (pid {found.pid}, folder {options.folder})")
    return 0


def _serve(options: Options) -> int:
    """Runs until SIGTERM or SIGINT."""
    os.environ.pop("EMULATOR_KEY", None)  # what it runs inherits its environment
    # Only who serves pays for importing all of it.
    from emulator.emulator import Emulator
    from emulator.state import guardian

    daemon.make_private(options.folder)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("botocore", "boto3", "urllib3", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not _patiently(lambda: guardian.lock(options.folder) is not None):
        raise DaemonError(f"another emulator has the folder {options.folder}; stop it, or take another --folder")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        emulator = Emulator(options.folder, options.config)
    except OSError as error:
        raise DaemonError(f"{daemon.port_is_taken(options.config.port)} ({error})") from error
    # What stands now stays. To look for garbage among all of moto takes the collector as long as the answers take.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    daemon.announce(options.folder, options.config.port)
    logging.getLogger("emulator").info("serving at %s", emulator.url)
    while not ended.wait(3600):
        pass
    emulator.close()
    daemon.withdraw(options.folder)
    return 0


def _stop(options: Options, _: argparse.Namespace) -> int:
    found = daemon.running(options.folder)
    if found:
        left = daemon.stop(options, found)
    else:
        for name in daemon.clean(options):
            print(f"ended what a killed emulator left behind: {name}")
        left = daemon.leaks(options, [])
    print(f"emulator stopped (pid {found.pid})" if found else f"no emulator is running in {options.folder}")
    print(f"left behind: processes {', '.join(left.processes) or 'none'}; ports {', '.join(left.ports) or 'none'}")
    return 1 if left else 0


def _status(options: Options, arguments: argparse.Namespace) -> int:
    found = daemon.running(options.folder)
    status = daemon.health(found) if found else None
    if arguments.json:
        print(json.dumps(status or {"status": "unhealthy" if found else "stopped", "folder": str(options.folder)}))
    elif status is None:
        state = f"does not answer (pid {found.pid})" if found else "is not running"
        print(f"emulator {state}; folder {options.folder}; next: python -m emulator {'logs' if found else 'start'}")
    else:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status["started"]))
        print(f"emulator {status['version']} is running at {status['url']} (pid {status['pid']}), since {since}")
        print(f"folder     {status['folder']}")
        print(f"runtime    {status['runtime']}, {status['tasks']} tasks")
        print(f"listeners  {' '.join(f'http://localhost:{port}' for port in status['listeners']) or 'none'}")
        print(f"services   {' '.join(status['services'])} (beside moto's)")
        print(f"children   {', '.join(status['children']) or 'none'}")
    return 0 if status else 1


def _logs(options: Options, arguments: argparse.Namespace) -> int:
    if not options.log.exists():
        raise DaemonError(f"there is no log in {options.folder}; start the emulator: python -m emulator start")
    with options.log.open(errors="replace") as log:
        try:
            while True:
                text = log.read()
                print(text, end="", flush=True)
                if not arguments.follow:
                    return 0
                time.sleep(0.3)
        except (KeyboardInterrupt, BrokenPipeError):
            return 0


def _connect(options: Options, arguments: argparse.Namespace) -> int:
    found = daemon.running(options.folder)
    if found is None:
        raise DaemonError("the emulator is not running; next: python -m emulator start")
    done = daemon.connect(found, arguments.repository, arguments.connection, arguments.key)
    print(f"repository {done['url']} stands in for https://github.com/{arguments.repository}")
    for name in done["accepted"]:
        print(f"accepted   connection {name}")
    if not done["accepted"]:
        print(f"accepted   nothing waits; available: {', '.join(done['available']) or 'none, run this again after it'}")
    print(f"push       git push {done['url']} HEAD:main")
    print(f"always     git config url.{done['url']}.insteadOf https://github.com/{arguments.repository}")
    return 0


def _patiently(try_it: Callable[[], bool]) -> bool:
    """Five seconds: the guardian of a killed emulator may hold the lock while it cleans up."""
    deadline = time.monotonic() + 5
    while not try_it():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


_COMMANDS: dict[str, Callable[[Options, argparse.Namespace], int]] = {
    "connect": _connect, "logs": _logs, "start": _start, "status": _status, "stop": _stop,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
