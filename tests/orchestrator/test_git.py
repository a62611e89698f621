"""What git says of a checkout, and the credentials with which it pushes to CodeCommit."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from orchestrator.errors import Unreachable
from orchestrator.tools import git, git_credential

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOST, PATH = "git-codecommit.eu-central-1.amazonaws.com", "/v1/repos/chatbot"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for command in (["init", "-q", "-b", "main"], ["config", "user.name", "T"], ["config", "user.email", "t@e"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    _commit(tmp_path, "a.txt", "one")
    return tmp_path


def _commit(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    subprocess.run(["git", "add", name], cwd=folder, check=True)
    subprocess.run(["git", "commit", "-q", "-m", name], cwd=folder, check=True)
    return git.head(folder)


def test_the_password_is_what_botocores_signer_makes_of_it() -> None:
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    request = AWSRequest(method="GIT", url=f"https://{HOST}{PATH}")
    request.context["timestamp"] = MOMENT.strftime("%Y%m%dT%H%M%S")
    signer = SigV4Auth(credentials, "codecommit", "eu-central-1")
    to_sign = signer.string_to_sign(request, f"GIT\n{PATH}\n\nhost:{HOST}\n\nhost\n")
    expected = f"{request.context['timestamp']}Z{signer.signature(to_sign, request)}"
    assert git_credential.password(PATH, HOST, "eu-central-1", credentials.secret_key, MOMENT) == expected


def test_git_is_answered_with_key_and_token_by_environment(repository: Path) -> None:
    env = {
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
        "AWS_SESSION_TOKEN": "TOKEN",
        "AWS_REGION": "us-east-1",
        git_credential.CREDENTIAL_HOST: HOST,
    }
    helper = f"!{sys.executable} -P {Path(git_credential.__file__)}"
    done = subprocess.run(
        ["git", "-c", "credential.helper=", "-c", f"credential.helper={helper}", "-c", "credential.useHttpPath=true",
         "credential", "fill"],
        cwd=repository, env={**os.environ, **env}, input=f"protocol=https\nhost={HOST}\npath={PATH[1:]}\n\n",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    answer = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert answer["username"] == "KEY%TOKEN"
    assert "SECRET" not in done.stdout
    timestamp = datetime.strptime(answer["password"].partition("Z")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    assert answer["password"] == git_credential.password(PATH, HOST, "us-east-1", "SECRET", timestamp)


def test_the_revision_is_what_is_checked_out_and_dirty_when_these_files_differ(repository: Path) -> None:
    second = _commit(repository, "b.txt", "two")
    assert git.revision_of(repository, "a.txt".__eq__) == second
    (repository / "a.txt").write_text("changed")
    assert git.revision_of(repository, "a.txt".__eq__) == f"{second}-dirty"
    assert git.revision_of(repository, "b.txt".__eq__) == second
    assert git.changed(repository) == ["a.txt"]


def test_a_folder_without_git_is_an_answer(tmp_path: Path) -> None:
    assert git.revision_of(tmp_path, "a".__eq__) == "unknown"
    assert git.head(tmp_path) == ""


def test_a_push_that_is_refused_says_why(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    assert git.push(repository, str(bare), "main", dict(os.environ)) == ""
    subprocess.run(["git", "commit", "-q", "--amend", "-m", "rewritten"], cwd=repository, check=True)
    assert "rejected" in git.push(repository, str(bare), "main", dict(os.environ))


def test_the_remote_of_a_repository_is_found_by_its_url(repository: Path) -> None:
    subprocess.run(["git", "remote", "add", "upstream", "git@github.com:Ada/Chat.git"], cwd=repository, check=True)
    assert git.remote_of(repository, "ada/chat") == "upstream"
    assert git.remote_of(repository, "ada/other") == ""
    assert git.remote_of(repository, "da/chat") == ""  # the end of a name is not the name


def test_a_branch_of_a_remote_is_read_and_pushed_as_the_user_would(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    assert git.remote_head(repository, str(bare), "main") == ""
    assert git.push_remote(repository, str(bare), "main") == ""
    assert git.remote_head(repository, str(bare), "main") == git.head(repository)
    subprocess.run(["git", "commit", "-q", "--amend", "-m", "rewritten"], cwd=repository, check=True)
    assert "rejected" in git.push_remote(repository, str(bare), "main")
    with pytest.raises(Unreachable, match="git cannot read nowhere") as unreachable:
        git.remote_head(repository, "nowhere", "main")
    assert "git ls-remote nowhere" in unreachable.value.remedy


def test_the_author_of_a_commit_is_known_where_the_commit_is(repository: Path) -> None:
    assert git.author_of(repository, git.head(repository)) == "T"
    assert git.author_of(repository, "0" * 40) == ""


def test_commits_that_are_not_released_are_named_the_newest_first(repository: Path) -> None:
    first = git.head(repository)
    second, third = _commit(repository, "b.txt", "two"), _commit(repository, "c.txt", "three")
    assert git.log(repository, first, "HEAD") == [f"{third[:8]} c.txt", f"{second[:8]} b.txt"]
    assert git.log(repository, "0" * 40, "HEAD") == []
    assert git.subject(repository, first) == "a.txt" and git.subject(repository, "0" * 40) == ""
    assert git.text_at(repository, third, "c.txt") == "three" and git.text_at(repository, first, "c.txt") is None
