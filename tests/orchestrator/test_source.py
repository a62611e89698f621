"""Releases from a repository on GitHub: here a bare one on the disk, and connections in memory."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator import cli_releases, doctor, history, phases, releases
from orchestrator.config import Config
from orchestrator.errors import NotNow
from orchestrator.releases import Target
from orchestrator.site import Site
from orchestrator.tools import git, secret, source
from tests.orchestrator.conftest import Said

ARN = "arn:aws:codestar-connections:us-east-1:123456789012:connection/1"


class FakeConnections:
    """CodeConnections, CodePipeline and CodeDeploy in one object, as far as a source needs them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.status = "PENDING"
        self.connections: list[dict[str, str]] = []
        self.executions: list[dict[str, Any]] = []
        self.started = 0

    def client(self, _: str) -> FakeConnections:
        return self

    def list_connections(self, NextToken: str = "") -> dict[str, Any]:
        return {"Connections": self.connections} if NextToken else {"Connections": [], "NextToken": "2"}

    def get_connection(self, ConnectionArn: str) -> dict[str, Any]:
        assert ConnectionArn == ARN
        return {"Connection": {"ConnectionStatus": self.status}}

    def list_pipeline_executions(self, **_: Any) -> dict[str, Any]:
        return {"pipelineExecutionSummaries": self.executions}

    def get_paginator(self, name: str) -> FakeConnections:
        assert name == "list_pipeline_executions"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.list_pipeline_executions()]

    def start_pipeline_execution(self, **_: Any) -> dict[str, str]:
        self.started += 1
        return {"pipelineExecutionId": "e-again"}

    def ran(self, name: str, status: str, *commits: str) -> None:
        revisions = [{"revisionId": commit} for commit in commits]
        self.executions.insert(0, {
            "pipelineExecutionId": name, "status": status, "sourceRevisions": revisions,
            "startTime": datetime(2026, 1, 2, tzinfo=UTC),
        })  # fmt: skip


@pytest.fixture
def there(config: Config, said: Said, tmp_path: Path) -> tuple[Site, Target, FakeConnections]:
    """A checkout with a commit, a repository ada/chat, and a pipeline that waits for its connection."""
    bare, root = tmp_path / "ada/chat.git", config.root
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    for command in (
        ["init", "-q", "-b", "main"], ["config", "user.name", "Ada"], ["config", "user.email", "a@e"],
        ["commit", "-q", "--allow-empty", "-m", "one"],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=root, check=True)
    site = Site(config, said)
    apis = FakeConnections(config)
    site.aws = apis  # type: ignore[assignment]
    pipeline = {
        "pipeline_name": "chat", "repository_name": "ada/chat", "branch": "main", "connection_arn": ARN,
        "clone_url_http": str(bare),
    }  # fmt: skip
    return site, Target({}, {}, pipeline), apis


There = tuple[Site, Target, FakeConnections]


def test_nothing_is_pushed_while_the_connection_waits_and_both_consoles_are_named(there: There) -> None:
    site, target, _ = there
    with pytest.raises(NotNow, match="PENDING") as refused:
        releases.first(site, target)
    assert "Developer Tools, Settings, Connections" in refused.value.remedy
    assert "python -m emulator connect ada/chat" in refused.value.remedy
    assert source.head(site.aws, site.config.root, target.pipeline) == ""


def test_the_first_release_pushes_to_an_empty_repository(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    site, target, apis = there
    apis.status = "AVAILABLE"
    commit = git.head(site.config.root)
    monkeypatch.setattr(releases, "execution_of", lambda _site, _target, pushed: f"e of {pushed}")
    assert releases.first(site, target) == f"e of {commit}"
    assert source.head(site.aws, site.config.root, target.pipeline) == commit


ENDS = [
    ("InProgress", "", "is on its way already"),
    ("Failed", "", "its release ended Failed: begins again"),
    ("Stopped", "", "its release ended Stopped: begins again"),
    ("", "", "its release ended unseen: begins again"),
    ("Succeeded", "2026-01-03T00:00:00+00:00", "a token was set since"),
    ("Succeeded", "2026-01-01T00:00:00+00:00", "is released already"),
    ("Succeeded", "", "is released already"),
]


@pytest.mark.parametrize(("status", "since", "says"), ENDS)
def test_a_commit_that_was_pushed_before_is_followed_begun_again_or_refused(
    there: There, said: Said, monkeypatch: pytest.MonkeyPatch, status: str, since: str, says: str
) -> None:
    site, target, apis = there
    commit = git.head(site.config.root)
    assert source.push(site.aws, site.config.root, target.pipeline) == ""
    if status:
        apis.ran("e-before", status, commit)
    apis.ran("e-other", "Succeeded", "0" * 40)
    monkeypatch.setattr(phases, "secret_name", lambda _site: "chat/hf-token")
    monkeypatch.setattr(secret, "status", lambda _aws, _name: secret.Status(bool(since), since))
    if says == "is released already":
        with pytest.raises(NotNow, match=says):
            releases.begin(site, target)
    else:
        assert releases.begin(site, target) == ("e-before" if status == "InProgress" else "e-again")
        assert says in said.lines[-1]


def test_a_repository_that_was_there_before_is_released_once(there: There) -> None:
    site, target, apis = there
    apis.status = "AVAILABLE"
    assert source.push(site.aws, site.config.root, target.pipeline) == ""
    apis.ran("e-created", "Failed")  # nobody had accepted the connection yet
    assert (releases.first(site, target), apis.started) == ("e-again", 1)
    apis.ran("e-again", "InProgress")
    assert (releases.first(site, target), apis.started) == ("e-again", 1)
    apis.executions.clear()
    apis.ran("e-again", "Succeeded", "c" * 40)
    assert (releases.first(site, target), apis.started) == ("", 1)


def test_the_users_own_remote_is_pushed_to_where_there_is_one(there: There, tmp_path: Path) -> None:
    site, target, _ = there
    mine = tmp_path / "mine/ada/chat.git"
    subprocess.run(["git", "init", "-q", "--bare", str(mine)], check=True)
    subprocess.run(["git", "remote", "add", "hub", str(mine)], cwd=site.config.root, check=True)
    assert source.push(site.aws, site.config.root, target.pipeline) == ""
    assert git.remote_head(site.config.root, str(mine), "main") == git.head(site.config.root)


def test_a_push_that_is_the_trigger_is_said_to_be_one(there: There) -> None:
    site, target, _ = there
    commit = git.head(site.config.root)
    trigger = {"triggerType": "WebhookV2", "triggerDetail": ARN}
    executions = [{"sourceRevisions": [{"revisionId": each}], "trigger": trigger} for each in (commit, "0" * 40)]
    history._name_authors(site.aws, target.pipeline, executions)
    assert [history._who(each) for each in executions] == ["Ada", "git push"]


def _finding(site: Site) -> doctor.Finding:
    return doctor.CHECKS["connection"](site)


def test_the_doctor_says_what_a_connection_waits_for(there: There) -> None:
    site, _, apis = there
    assert _finding(site).level == "ok" and "CodeCommit" in _finding(site).text
    values = {**site.config.values, "pipeline": {**site.config.values["pipeline"], "github_repository": "ada/chat"}}
    on_github = Site(Config(site.config.name, site.config.root, values, site.config.source), Said())
    on_github.aws = apis  # type: ignore[assignment]
    found = _finding(on_github)
    assert found.level == "ok" and "phase pipeline makes one" in found.text
    apis.connections = [{"ConnectionName": str(on_github.config.get("environment", "name")), "ConnectionArn": ARN}]
    found = _finding(on_github)
    assert found.level == "warning" and "emulator connect ada/chat" in found.remedy
    apis.status = "AVAILABLE"
    assert _finding(on_github).level == "ok"


def test_a_deploy_ends_well_without_the_release_that_somebody_must_allow(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, target, _ = there

    class FakeRunner:
        def __init__(self) -> None:
            self.site = site

    monkeypatch.setattr(cli_releases, "_target", lambda *_: target)
    monkeypatch.setattr(site, "record", lambda _: {})
    monkeypatch.setattr(site, "put_record", lambda *_: pytest.fail("the next deploy would not look again"))
    cli_releases.first(FakeRunner(), [])  # type: ignore[arg-type]
    assert isinstance(site.say, Said)
    assert "no release yet: the connection to GitHub is PENDING" in site.say.lines[-1]
