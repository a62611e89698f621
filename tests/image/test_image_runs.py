"""The image as Fargate runs it: nobody's user, a root that cannot be written, Python as PID 1, a page that answers."""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from typing import Any
from urllib.parse import urljoin

import pytest
from gradio_client import Client

from tests.docker_base import docker
from tests.image.containers import Containers
from tests.waiting import eventually

pytestmark = [pytest.mark.docker, pytest.mark.slow(group="images")]


def _config(image: str) -> dict[str, Any]:
    return dict(json.loads(docker("image", "inspect", "--format", "{{json .Config}}", image).stdout))


def _get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.status, answer.read()


def test_it_runs_as_nobody_on_a_root_that_cannot_be_written(lean: str, containers: Containers) -> None:
    container = containers.run(lean)
    container.until_ready()
    assert container.exec("id", "-u").strip() == "10001"
    assert container.exec("cat", "/proc/1/cmdline").split("\0")[:3] == ["python", "-m", "chatbot"]
    refused = docker("exec", "--user", "0", container.id, "touch", "/app/x", check=False)
    assert "Read-only file system" in refused.stderr
    assert not docker("diff", container.id).stdout.replace("A /tmp", "").replace("C /tmp", "").strip()


def test_nothing_of_the_application_belongs_to_its_user(lean: str, containers: Containers) -> None:
    container = containers.run(lean)
    owned = container.exec(
        "find", "/app", "/venv", "(", "-user", "10001", "-o", "-perm", "-o+w", "!", "-type", "l", ")"
    )
    assert not owned.strip()


def test_it_says_what_it_is(lean: str) -> None:
    config = _config(lean)
    assert config["User"] == "10001:10001"
    assert list(config["ExposedPorts"]) == ["7860/tcp"]
    assert (config["Entrypoint"], config["StopSignal"]) == (["python", "-m", "chatbot"], "SIGTERM")
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "chatbot"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"])


@pytest.mark.parametrize("port", [7860, 9000])
def test_its_health_check_passes_on_whatever_port_it_listens(lean: str, containers: Containers, port: int) -> None:
    container = containers.run(lean, "--env", f"PORT={port}", "--health-interval=1s")
    eventually(lambda: container.state["Health"]["Status"] == "healthy", 180)


def test_its_health_check_fails_where_nothing_listens(lean: str, containers: Containers) -> None:
    flags = ("--entrypoint", "python", "--health-interval=1s", "--health-start-period=1s", "--health-retries=2")
    container = containers.run(lean, *flags, command=("-c", "import time; time.sleep(60)"))
    eventually(lambda: container.state["Health"]["Status"] == "unhealthy", 60)


def test_a_wrong_setting_ends_it_with_the_reason(lean: str, containers: Containers) -> None:
    container = containers.run(lean, "--env", "CHATBOT_TEMPERATURE=hot")
    eventually(lambda: not container.state["Running"], 30)
    assert container.state["ExitCode"] == 2
    assert "CHATBOT_TEMPERATURE" in container.logs


def test_the_model_answers_in_parts_without_any_network(model: str, containers: Containers) -> None:
    container = containers.run(model)
    container.until_ready("/readyz")
    job = Client(container.url, verbose=False).submit("What is the capital of France?", api_name="/chat")
    job.result(timeout=120)
    assert len(job.outputs()) > 1
    assert len(str(job.outputs()[-1])) > 3


def test_a_stop_lets_an_answer_finish(model: str, containers: Containers) -> None:
    # A quarter of a core: the answer takes long enough for the stop to come in the middle of it.
    flags = ("--cpus=0.25", "--env=CHATBOT_MAX_TOKENS=120", "--env=CHATBOT_DRAIN_SECONDS=55")
    container = containers.run(model, *flags)
    container.until_ready("/readyz")
    job = Client(container.url, verbose=False).submit("Tell me a long story about a river.", api_name="/chat")
    eventually(lambda: len(job.outputs()) > 0, 60)
    before = len(job.outputs())
    stopping = threading.Thread(target=docker, args=("stop", "--time=60", container.id))
    stopping.start()
    answer = str(job.result(timeout=90))
    stopping.join()
    assert len(job.outputs()) > before
    assert "error" not in answer.lower()
    assert container.state["ExitCode"] == 0
    assert '"stopped"' in container.logs


def test_everything_that_the_page_names_is_in_the_image(lean: str, containers: Containers) -> None:
    """Gradio's own files that the Dockerfile drops are none that the page loads."""
    container = containers.run(
        lean, "--env", "CHATBOT_BACKEND=openai", "--env", "CHATBOT_BASE_URL=http://127.0.0.1:9/v1"
    )
    container.until_ready()
    status, page = _get(container.url)
    assert status == 200
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', page.decode())) - {"/"}
    here = {urljoin(container.url + "/", each) for each in named if not each.startswith(("http", "data:", "//"))}
    assert len(here) > 3
    seen: set[str] = set()
    # Two steps deep: what the page names, and what its scripts and styles import first.
    for url in sorted(here):
        seen.add(url)
        body = _get(url)[1].decode(errors="replace")
        if url.endswith((".js", ".css")):
            imports = re.findall(r'(?:from|import)\s*"(\.[^"]+\.js)"|url\((\.[^)"]+)\)', body)
            for script, style in imports:
                deeper = urljoin(url, script or style)
                if deeper not in seen:
                    seen.add(deeper)
                    assert _get(deeper)[0] == 200
