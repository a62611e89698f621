"""Start, health, readiness, metrics and the end of the process."""

from __future__ import annotations

import socket
import time
import urllib.request
from typing import Any

import pytest
from gradio_client import Client

from tests.chatbot.fake_openai import FakeOpenAI
from tests.chatbot.served import App
from tests.ports import free_port


def test_a_usable_backend_is_ready_and_a_healthy_process_is_alive(app: App) -> None:
    assert app.get("/healthz") == (200, '{"status":"alive"}')
    assert app.get("/readyz") == (200, '{"kind":"ready","status":null,"code":null}')


@pytest.mark.parametrize(
    ("settings", "cause", "kind"),
    [
        ({"CHATBOT_API_KEY": "wrong"}, "HTTP 401", "unauthorised"),
        ({"CHATBOT_BASE_URL": "http://127.0.0.1:9/v1"}, "ConnectError", "unreachable"),
    ],
)
def test_an_unusable_backend_is_a_line_in_the_log_and_not_ready_while_the_process_is_alive(
    start: Any, settings: dict[str, str], cause: str, kind: str
) -> None:
    fake = FakeOpenAI(key="right").start()
    app = start(**{"CHATBOT_BASE_URL": fake.url, **settings})
    [line] = app.wait(lambda: app.lines("backend"), what="the log line")
    assert (line["ready"], line["level"], line["cause"]) == (False, "error", cause)
    assert app.get("/healthz")[0] == 200
    status, body = app.get("/readyz")
    assert status == 503 and f'"kind":"{kind}"' in body and "127.0.0.1" not in body
    fake.stop()


def test_readiness_comes_back_with_the_backend(start: Any) -> None:
    port = free_port()
    app = start(CHATBOT_BASE_URL=f"http://127.0.0.1:{port}/v1")
    app.wait(lambda: app.lines("backend"), what="the failed check")
    fake = FakeOpenAI().start(port)
    app.ready()
    assert app.get("/readyz")[0] == 200
    assert [line["ready"] for line in app.lines("backend")] == [False, True]  # a change is told once
    fake.stop()


def test_metrics_count_answers_on_a_port_of_their_own_and_not_on_the_pages(app: App) -> None:
    assert Client(app.url, verbose=False).predict("count me", api_name="/chat") == "You said: count me "
    port = app.lines("metrics")[0]["port"]
    body = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
    values = dict(line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))
    assert int(values['chatbot_answers_total{stop="stop"}']) >= 1
    assert int(values["chatbot_answer_seconds_count"]) >= int(values['chatbot_answers_total{stop="stop"}'])
    assert values["chatbot_ready"] == "1"
    assert app.get("/metrics")[0] == 404


def test_a_second_app_on_the_host_takes_another_port_for_its_metrics(app: App, start: Any, fake: FakeOpenAI) -> None:
    other = start(CHATBOT_BASE_URL=fake.url).ready()
    assert other.lines("metrics")[0]["port"] != app.lines("metrics")[0]["port"]


def test_a_stop_ends_idle_heartbeats_at_once(start: Any, fake: FakeOpenAI) -> None:
    app = start(CHATBOT_BASE_URL=fake.url, CHATBOT_DRAIN_SECONDS="30").ready()
    streams = [urllib.request.urlopen(f"{app.url}/gradio_api/heartbeat/tab{n}", timeout=60) for n in range(20)]
    assert all(b"ALIVE" in stream.readline() for stream in streams)
    began = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - began < 20  # of 30
    assert app.lines("stopped")


def test_a_stop_lets_a_running_answer_finish_and_takes_no_new_connection(start: Any, fake: FakeOpenAI) -> None:
    app = start(CHATBOT_BASE_URL=fake.url, CHATBOT_DRAIN_SECONDS="20", CHATBOT_MAX_TOKENS="60").ready()
    job = Client(app.url, verbose=False).submit("counts 80", api_name="/chat")
    app.wait(lambda: job.outputs(), what="the answer's beginning")
    app.process.terminate()
    app.wait(lambda: app.lines("stopping"), what="the stop")
    time.sleep(0.3)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", app.port), timeout=2).close()
    assert str(job.result(timeout=60)).split() == [str(number) for number in range(60)]
    assert app.process.wait(60) == 0


def test_a_stop_does_not_wait_longer_than_it_may(start: Any, fake: FakeOpenAI) -> None:
    app = start(CHATBOT_BASE_URL=fake.url, CHATBOT_DRAIN_SECONDS="1", CHATBOT_MAX_TOKENS="400").ready()
    job = Client(app.url, verbose=False).submit("slowly", api_name="/chat")
    app.wait(lambda: job.outputs(), what="the answer's beginning")
    began = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - began < 60  # of 340, which the answer takes


def test_a_port_that_is_taken_ends_the_program_with_1(app: App, start: Any, fake: FakeOpenAI) -> None:
    other = start(CHATBOT_BASE_URL=fake.url, PORT=str(app.port))
    assert other.process.wait(60) == 1
