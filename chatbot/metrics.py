"""What operators scrape: counters and histograms in Prometheus' text format, on a port of loopback only."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


@dataclass
class Histogram:
    """A cumulative histogram over BUCKETS, in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    total: float = 0.0
    count: int = 0

    def observe(self, seconds: float) -> None:
        self.total += seconds
        self.count += 1
        for index, bound in enumerate(BUCKETS):
            self.counts[index] += seconds <= bound

    def lines(self, name: str) -> list[str]:
        buckets = [f'{name}_bucket{{le="{bound:g}"}} {n}' for bound, n in zip(BUCKETS, self.counts, strict=True)]
        infinite = f'{name}_bucket{{le="+Inf"}} {self.count}'
        return [f"# TYPE {name} histogram", *buckets, infinite, f"{name}_sum {self.total:.6f}",
                f"{name}_count {self.count}"]  # fmt: skip


class Metrics:
    """The task's measurements; written by the event loop alone, read by the metrics port's thread."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()
        self.feedback: Counter[str] = Counter()
        self.tokens = 0
        self.first_token = Histogram()
        self.duration = Histogram()
        self.gauges: dict[str, Callable[[], int]] = {}

    def answered(self, stop: str, first_token: float | None, started: float) -> None:
        """Count one answer: why it ended, seconds to its first token (None without one), when it began."""
        self.answers[stop] += 1
        self.duration.observe(time.monotonic() - started)
        if first_token is not None:
            self.first_token.observe(first_token)

    def text(self) -> str:
        """Everything, in the text exposition format 0.0.4."""
        lines = [
            *_counter("chatbot_answers_total", "stop", self.answers),
            *_counter("chatbot_refused_requests_total", "status", self.refused),
            *_counter("chatbot_feedback_total", "liked", self.feedback),
            "# TYPE chatbot_completion_tokens_total counter",
            f"chatbot_completion_tokens_total {self.tokens}",
            *self.first_token.lines("chatbot_first_token_seconds"),
            *self.duration.lines("chatbot_answer_seconds"),
        ]
        for name, value in self.gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value()}"]
        return "\n".join(lines) + "\n"


def _counter(name: str, label: str, values: Counter[str] | Counter[int]) -> list[str]:
    rows = sorted((str(key), n) for key, n in dict(values).items())
    return [f"# TYPE {name} counter", *(f'{name}{{{label}="{key}"}} {n}' for key, n in rows)]


def serve(metrics: Metrics, port: int) -> ThreadingHTTPServer:
    """Serve /metrics on 127.0.0.1 in a thread; when `port` is taken, as by another task on this host, on a free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics.text().encode() if self.path == "/metrics" else b"not found\n"
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return None

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
