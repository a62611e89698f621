"""`python -m chatbot`: settings from the environment, then the server until SIGTERM; or `probe`, one question."""

from __future__ import annotations

import argparse
import signal
import socket
import sys

from chatbot import __version__, startup
from chatbot.settings import Settings, SettingsError, load


def main() -> int:
    """Run the app, or ask its model; 0 after a graceful stop or an answer, 2 when a setting or an argument is wrong."""
    parser = argparse.ArgumentParser(
        "python -m chatbot",
        description="Serve the chatbot on HOST:PORT. All is set in the environment: docs/chatbot.md has the table.",
    )
    parser.add_argument("--version", action="version", version=f"chatbot {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="[probe]")
    asks = verbs.add_parser("probe", help="ask the configured model for one token, and say what it answers")
    asks.add_argument("--json", action="store_true", help="for scripts")
    arguments = parser.parse_args()
    try:
        settings = load()
    except SettingsError as error:
        for problem in error.problems:
            print(f"chatbot: {problem}", file=sys.stderr)
        return 2
    if arguments.verb == "probe":
        from chatbot import probe

        return probe.run(settings, as_json=arguments.json)
    # Until the server has its own handlers a stop is an exit at once: there is nothing to drain yet.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: sys.exit(0))
    startup.prepare()
    return _serve(settings)


def _serve(settings: Settings) -> int:
    import uvicorn  # after prepare(): what follows imports Gradio

    from chatbot import app, logs, metrics
    from chatbot.server import Server

    logs.configure(settings.log_level)
    application = app.create(settings)
    if settings.metrics_port:
        listener = metrics.serve(application.metrics, settings.metrics_port)
        logs.event("metrics", host="127.0.0.1", port=listener.server_port)
    try:
        listening = _listen(settings.host, settings.port)
    except OSError as error:
        reason = f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        logs.event("failed", level="error", reason=reason)
        return 1
    config = uvicorn.Config(
        application.asgi,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http="h11",  # strict about what may be smuggled; the same on every machine
        h11_max_incomplete_event_size=32_768,
        ws="none",
        timeout_keep_alive=4060,  # above the longest idle timeout of a load balancer, or it answers 502 now and then
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
    server = Server(config, application.asgi)
    # Uvicorn raises the signal again once it has stopped; that must not turn a graceful stop into a death by signal.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: None)
    server.run(sockets=[listening])
    logs.event("stopped")
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by name: asyncio turns Nagle's algorithm off (40 ms a token) only where it reads TCP there.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(2048)
    return listening


if __name__ == "__main__":
    sys.exit(main())
