"""A run of the tests that was killed leaves nothing to the next one; one that goes on is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.tools import process
from tests import leftovers
from tests.gates import PROJECT

# A run: it starts something that would outlive it, says its process id, and waits.
RUN = """
import os, subprocess, sys, time
from tests import leftovers
os.environ.pop(leftovers.MARK, None)
leftovers.mark()
child = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="network: no /proc on this system")
def test_what_a_killed_run_started_is_ended_and_what_lives_is_not() -> None:
    with subprocess.Popen([sys.executable, "-c", RUN], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        left = int(run.stdout.readline())
        leftovers.end()
        assert process.started(left)
        run.kill()
    leftovers.end()
    assert not process.started(left)


def test_a_dead_engines_folder_goes_and_a_living_ones_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with subprocess.Popen(["sleep", "0"]) as gone:
        dead = json.dumps(json.loads(leftovers.mark()) | {"pid": gone.pid})
    for name, run in (("engine-living", leftovers.mark()), ("engine-dead", dead)):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "run-of").write_text(f"{run}\nno-such-bridge")
    leftovers.end()
    assert [folder.name for folder in tmp_path.iterdir()] == ["engine-living"]


FIFTY = """
import pytest

@pytest.fixture(scope="module")
def broken():
    raise RuntimeError("the one cause")

@pytest.mark.parametrize("number", range(50))
def test_it(broken, number):
    pass
"""


def test_a_broken_fixture_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "test_fifty.py").write_text(FIFTY)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert "50 errors" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count('raise RuntimeError("the one cause")') == 1
    assert "was not run: a fixture that it shares failed, see test_fifty.py::test_it[0]" in done.stdout
