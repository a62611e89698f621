"""Releases from GitHub: the whole system with a connection as its source, and a repository here that stands in."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import QUICK, Machine
from tests.e2e.releasing import retitle, title
from tests.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow(group="releases")]

REPOSITORY = "ada/chatbot"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Machine(tmp_path / "machine", {"pipeline": {"github_repository": REPOSITORY}}, variables=QUICK) as machine:
        yield machine


def test_once_the_connection_is_accepted_every_push_to_github_is_a_release(machine: Machine) -> None:
    deployed = machine.orchestrate("deploy")
    waiting = "no release yet: the connection to GitHub is PENDING; accept it once in AWS's console"
    assert waiting in deployed.stdout + deployed.stderr
    refused = machine.orchestrate("release", check=False)
    assert refused.returncode == 2 and f"emulator connect {REPOSITORY}" in refused.stdout + refused.stderr
    assert "PENDING" in machine.orchestrate("doctor").stdout

    machine.run("emulator", "connect", REPOSITORY)
    # From here on the URL of GitHub means the repository on this machine: nothing of ours knows the difference.
    stand_in = f"{machine.endpoint}/github.com/{REPOSITORY}"
    machine.git("config", f"url.{stand_in}.insteadOf", f"https://github.com/{REPOSITORY}")
    first = machine.orchestrate("deploy")
    assert "first release" in first.stdout + first.stderr
    assert machine.git("ls-remote", stand_in, "refs/heads/main").startswith(machine.git("rev-parse", "HEAD"))

    new, _ = retitle(machine, "From GitHub")
    machine.orchestrate("release")
    assert title(machine.url) == new

    new, commit = retitle(machine, "Pushed by hand")
    machine.git("push", "--quiet", f"https://github.com/{REPOSITORY}.git", "HEAD:main")
    client = machine.client("codepipeline")

    def begun() -> bool:
        newest = client.list_pipeline_executions(pipelineName="chatbot")["pipelineExecutionSummaries"][0]
        return bool([each for each in newest.get("sourceRevisions", []) if each["revisionId"] == commit])

    eventually(begun, 60, "an execution of the pushed commit")
    machine.orchestrate("release", "--follow")
    assert title(machine.url) == new
    newest, *older = json.loads(machine.orchestrate("history", "--json").stdout)["releases"]
    assert (newest["commit"], newest["result"], newest["who"]) == (commit, "Succeeded", "Tester")
    assert len(older) == 2
    assert machine.orchestrate("plan", "--refresh", "--detailed-exitcode").returncode == 0

    # Here for one deployment less: destroy shows that nothing is left, and it is so.
    gone = machine.orchestrate("destroy", "--yes")
    assert "nothing is left" in gone.stdout.lower()
    machine.run("emulator", "stop")
    for url in (machine.url, machine.test_url, machine.endpoint):
        with pytest.raises(OSError):
            urllib.request.urlopen(url, timeout=60)
