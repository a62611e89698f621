"""A registry killed with SIGKILL while clients push to it: what it holds afterwards is whole."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.data.registry import Registry

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
ROOT = Path(__file__).parents[3]
SERVER = """
import sys
import threading
from pathlib import Path
from emulator.data.registry import Endpoints, Registry
from emulator.listener import Listener
registry = Registry(Path(sys.argv[1]), lambda *asked: None, None, lambda repository: True)
print(Listener(Endpoints(registry), 0).port, flush=True)
threading.Event().wait()
"""


@contextmanager
def registry_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SERVER, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push_forever(port: int, seed: int, acknowledged: set[str]) -> None:
    """Pushes image after image, and notes the tags of those that the registry took; ends with the registry."""
    source = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def call(method: str, path: str, body: bytes, **headers: str) -> None:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 201, response.status

    def blob(content: bytes) -> dict[str, Any]:
        call("POST", f"/v2/app/blobs/uploads/?digest={digest(content)}", content)
        return {"mediaType": "application/octet-stream", "digest": digest(content), "size": len(content)}

    with contextlib.suppress(OSError, http.client.HTTPException):
        for number in range(10_000):
            document = {"schemaVersion": 2, "config": blob(b"{}"), "layers": [blob(source.randbytes(200_000))]}
            headers = {"Content-Type": MEDIA_TYPE}
            call("PUT", f"/v2/app/manifests/v{seed}-{number}", json.dumps(document).encode(), **headers)
            acknowledged.add(f"v{seed}-{number}")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_a_kill_every_image_that_was_taken_is_whole_and_no_half_one_is_there(tmp_path: Path, seed: int) -> None:
    acknowledged: set[str] = set()
    with registry_process(tmp_path) as (process, port):
        numbers = (seed * 10, seed * 10 + 1)
        threads = [threading.Thread(target=push_forever, args=(port, number, acknowledged)) for number in numbers]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while len(acknowledged) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random.Random(seed).random() / 20)
        process.kill()
        for thread in threads:
            thread.join()
    registry = Registry(tmp_path, lambda *asked: None, None, lambda repository: True)
    tags = registry.tags("app")
    assert len(acknowledged) >= 3 and acknowledged <= set(tags)
    assert {image.digest for image in registry.images("app")} == set(tags.values())
    for tag in tags:
        manifest = registry.manifest("app", tag)
        assert digest(manifest.content) == manifest.digest
        for part in manifest.blobs():
            assert digest(registry.repository_blob("app", part["digest"]).read_bytes()) == part["digest"]
    assert list((tmp_path / "uploads").iterdir()) == []
