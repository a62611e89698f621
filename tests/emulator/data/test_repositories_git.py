"""Real git clients against CodeCommit's repositories on a port, with the credentials that AWS's helpers give."""

from __future__ import annotations

import base64
import gzip
import http.client
import io
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

from emulator.data.repositories import ZERO, Repositories, SignatureCheck
from emulator.data.repositories.signature import sign
from emulator.data.repositories.tls import make_certificate
from emulator.listener import Listener

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


@runtime_checkable
class Closable(Protocol):
    def close(self) -> None: ...


@dataclass
class Served:
    """Repositories on a port, and a git whose home, configuration and credentials are this test's own."""

    repositories: Repositories
    port: int
    home: Path
    pushes: list[tuple[str, str, str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def url(self, name: str = "chatbot", username: str = KEY, password: str | None = None) -> str:
        return f"http://{username}:{password or self.password(name)}@{self.host}/v1/repos/{name}"

    def password(self, name: str = "chatbot", secret: str = SECRET, age: timedelta = timedelta()) -> str:
        at = (datetime.now(UTC) - age).strftime("%Y%m%dT%H%M%S")
        return f"{at}Z{sign(secret, 'us-east-1', 'localhost', f'/v1/repos/{name}', at)}"

    def environment(self, **more: str) -> dict[str, str]:
        binaries = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
        who = {f"GIT_{role}_{key}": "tester" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self.home)}
        return {"PATH": binaries, **keys, **who, **quiet, **more}

    def git(
        self, *arguments: str | Path, check: bool = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = ["git", "-c", "init.defaultBranch=main", *map(str, arguments)]
        environment = self.environment(**(env or {}))
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=environment)
        assert not check or done.returncode == 0, done.stderr
        return done

    def work(self, name: str = "work") -> Path:
        """A new working copy with one commit on main, whose origin is the repository `chatbot`."""
        path = self.home / name
        self.git("init", "--quiet", path)
        self.git("-C", path, "remote", "add", "origin", self.url())
        self.commit(path, "README", name)
        return path

    def commit(self, work: Path, name: str, text: str | bytes) -> str:
        (work / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("-C", work, "add", "--all")
        self.git("-C", work, "commit", "--quiet", "--message", f"write {name}")
        return self.head(work)

    def head(self, work: Path) -> str:
        return self.git("-C", work, "rev-parse", "HEAD").stdout.strip()

    def fsck(self, name: str = "chatbot") -> None:
        self.git(f"--git-dir={self.repositories.git(name).path}", "fsck", "--strict", "--full")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    home = tmp_path / "home"
    home.mkdir()
    pushes: list[tuple[str, str, str, str]] = []
    check = SignatureCheck({KEY: SECRET, "ASIATEMPORARY": SECRET}.get)
    repositories = Repositories(tmp_path / "codecommit", check, lambda *push: pushes.append(push))
    repositories.create("chatbot")
    listener = Listener(repositories, 0, make_certificate(tmp_path / "tls.pem"))
    yield Served(repositories, listener.port, home, pushes)
    listener.close()


# Pushing and fetching


def test_an_empty_repository_is_cloned(served: Served) -> None:
    cloned = served.git("clone", served.url(), served.home / "copy")
    assert "empty repository" in cloned.stderr
    assert served.repositories.default_branch("chatbot") is None


def test_what_is_pushed_is_what_is_cloned_and_the_push_is_reported_exactly(served: Served) -> None:
    work = served.work()
    first = served.head(work)
    served.git("-C", work, "push", "origin", "main")
    assert served.pushes == [("chatbot", "refs/heads/main", ZERO, first)]
    second = served.commit(work, "app.py", "print()")
    served.git("-C", work, "tag", "--annotate", "v1", "--message", "one")
    tag = served.git("-C", work, "rev-parse", "v1").stdout.strip()
    served.git("-C", work, "push", "origin", "main", "v1", "main:feature/x")
    assert sorted(served.pushes[1:]) == [
        ("chatbot", "refs/heads/feature/x", ZERO, second),
        ("chatbot", "refs/heads/main", first, second),
        ("chatbot", "refs/tags/v1", ZERO, tag),
    ]
    copy = served.home / "copy"
    served.git("clone", served.url(), copy)
    assert (served.head(copy), (copy / "app.py").read_text()) == (second, "print()")


def test_a_push_that_changes_nothing_is_not_reported(served: Served) -> None:
    work = served.work()
    served.git("-C", work, "push", "origin", "main")
    served.git("-C", work, "push", "origin", "main")
    assert len(served.pushes) == 1


@pytest.mark.parametrize("branch", ["main", "master", "trunk"])
def test_the_first_branch_becomes_the_default_one(served: Served, branch: str) -> None:
    work = served.work()
    served.git("-C", work, "push", "origin", "HEAD:refs/tags/only-a-tag")
    assert served.repositories.default_branch("chatbot") is None
    served.git("-C", work, "push", "origin", f"HEAD:refs/heads/{branch}", "HEAD:refs/heads/a-feature")
    assert served.repositories.default_branch("chatbot") in ({branch} if branch != "trunk" else {"trunk", "a-feature"})


@pytest.mark.parametrize("protocol", ["0", "1", "2"])
def test_every_version_of_the_protocol_is_spoken(served: Served, protocol: str) -> None:
    work = served.work()
    served.git("-C", work, "-c", f"protocol.version={protocol}", "push", "origin", "main")
    traced = served.git(
        *("-c", f"protocol.version={protocol}", "clone", served.url(), served.home / "copy"),
        env={"GIT_TRACE_PACKET": "1"},
    )
    assert ("clone< version 2" in traced.stderr) == (protocol == "2")
    assert served.head(served.home / "copy") == served.head(work)


def test_a_shallow_clone_has_one_commit_and_can_be_deepened(served: Served) -> None:
    work = served.work()
    for number in range(4):
        served.commit(work, "file", str(number))
    served.git("-C", work, "push", "origin", "main")
    copy = served.home / "copy"
    served.git("clone", "--depth=1", served.url(), copy)
    assert served.git("-C", copy, "rev-list", "--count", "HEAD").stdout.strip() == "1"
    served.git("-C", copy, "fetch", "--unshallow")
    assert served.git("-C", copy, "rev-list", "--count", "HEAD").stdout.strip() == "5"


def test_a_partial_clone_leaves_blobs_for_later(served: Served) -> None:
    work = served.work()
    served.git("-C", work, "push", "origin", "main")
    copy = served.home / "copy"
    served.git("clone", "--filter=blob:none", "--no-checkout", served.url(), copy)
    served.git("-C", copy, "checkout", "main")
    assert (copy / "README").read_text() == "work"


def test_a_fetch_with_many_haves_comes_compressed(served: Served) -> None:
    work = served.work()
    served.git("-C", work, "push", "origin", "main")
    copy = served.home / "copy"
    served.git("clone", served.url(), copy)
    for number in range(60):  # enough of them for git to compress its request
        # Git offers the newest first. Of the same second, the one that both have might come early, and end the request.
        later = {"GIT_COMMITTER_DATE": f"{2_000_000_000 + number} +0000"}
        served.git("-C", copy, "commit", "--allow-empty", "--quiet", "--message", str(number), env=later)
    new = served.commit(work, "new", "new")
    served.git("-C", work, "push", "origin", "main")
    traced = served.git("-C", copy, "fetch", env={"GIT_CURL_VERBOSE": "1"})
    assert "Content-Encoding: gzip" in traced.stderr
    assert served.git("-C", copy, "rev-parse", "origin/main").stdout.strip() == new


@pytest.mark.slow(group="foreign")
def test_a_push_of_50_mb_in_chunks_arrives(served: Served) -> None:
    work = served.work()
    served.commit(work, "big", random.Random(1).randbytes(50_000_000))
    traced = served.git("-C", work, "-c", "core.compression=0", "push", "origin", "main", env={"GIT_CURL_VERBOSE": "1"})
    assert "Transfer-Encoding: chunked" in traced.stderr
    copy = served.home / "copy"
    served.git("clone", "--quiet", served.url(), copy)
    assert (copy / "big").read_bytes() == (work / "big").read_bytes()


def test_a_client_that_waits_for_leave_to_send_gets_it(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        head = [
            "POST /v1/repos/chatbot/git-upload-pack HTTP/1.1",
            "Host: localhost",
            "Expect: 100-continue",
            "Content-Type: application/x-git-upload-pack-request",
            "Content-Length: 4",
            f"Authorization: Basic {base64.b64encode(f'{KEY}:{served.password()}'.encode()).decode()}",
        ]
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"0000")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


# What CodeCommit lets happen to a branch


def test_only_a_forced_push_rewinds_a_branch(served: Served) -> None:
    work = served.work()
    old = served.commit(work, "file", "1")
    served.git("-C", work, "push", "origin", "main")
    served.git("-C", work, "reset", "--hard", "--quiet", "HEAD~1")
    new = served.commit(work, "file", "2")
    refused = served.git("-C", work, "push", "origin", "main", check=False)
    assert refused.returncode != 0 and "non-fast-forward" in refused.stderr
    served.git("-C", work, "push", "--force", "origin", "main")
    assert served.pushes[1:] == [("chatbot", "refs/heads/main", old, new)]


def test_a_branch_is_deleted_by_a_push_unless_it_is_the_default_one(served: Served) -> None:
    work = served.work()
    served.git("-C", work, "push", "origin", "main", "main:old")
    served.git("-C", work, "push", "origin", ":old")
    assert served.pushes[2:] == [("chatbot", "refs/heads/old", served.head(work), ZERO)]
    refused = served.git("-C", work, "push", "origin", ":main", check=False)
    assert refused.returncode != 0 and "deletion of the current branch prohibited" in refused.stderr
    assert served.repositories.branches("chatbot") == {"main": served.head(work)}
    assert len(served.pushes) == 3


def test_of_two_pushes_at_once_to_a_branch_one_wins_and_each_is_reported_for_itself(served: Served) -> None:
    work = served.work()
    served.git("-C", work, "push", "origin", "main")
    base = served.head(work)
    commits: dict[str, str] = {}
    for name in ("a", "b"):
        served.git("clone", "--quiet", served.url(), served.home / name)
        commits[name] = served.commit(served.home / name, name, name * 100_000)
    results: dict[str, int] = {}

    def push(name: str) -> None:
        done = served.git("-C", served.home / name, "push", "origin", "HEAD:main", f"HEAD:{name}", check=False)
        results[name] = done.returncode

    threads = [threading.Thread(target=push, args=(name,)) for name in commits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner, loser = sorted(results, key=results.__getitem__)
    assert results[winner] == 0 and results[loser] != 0
    main = [push for push in served.pushes[1:] if push[1] == "refs/heads/main"]
    assert main == [("chatbot", "refs/heads/main", base, commits[winner])]
    branches = served.repositories.branches("chatbot")
    assert branches["main"] == branches[winner] == commits[winner]
    reported = {push[1] for push in served.pushes[1:]}
    assert reported == {f"refs/heads/{branch}" for branch in branches}
    served.fsck()


def test_a_push_killed_half_way_leaves_the_repository_as_it_was(served: Served) -> None:
    work = served.work()
    served.git("-C", work, "push", "origin", "main")
    before = served.repositories.branches("chatbot")
    served.commit(work, "big", random.Random(2).randbytes(10_000_000))
    command = ["git", "-C", str(work), "-c", "core.compression=0", "push", "origin", "main"]
    env = {**served.environment(), "GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"}
    killed = subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.PIPE)
    assert killed.stderr is not None
    for line in killed.stderr:  # the pack is on its way
        if b"transfer-encoding: chunked" in line.lower():
            break
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert served.repositories.branches("chatbot") == before
    assert len(served.pushes) == 1
    served.fsck()
    served.git("-C", work, "push", "origin", "main")
    assert len(served.pushes) == 2


def test_a_body_that_breaks_off_reaches_no_git(served: Served) -> None:
    work = served.work()
    served.git("-C", work, "push", "origin", "main")
    authorization = base64.b64encode(f"{KEY}:{served.password()}".encode()).decode()
    head = [
        "POST /v1/repos/chatbot/git-receive-pack HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/x-git-receive-pack-request",
        "Content-Length: 1000000",
        f"Authorization: Basic {authorization}",
    ]
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode() + b"0" * 1000)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    requests = served.repositories._folder.parent / "requests"
    assert list(requests.iterdir()) == []
    served.fsck()


def test_a_push_whose_client_has_gone_before_the_answer_is_reported_all_the_same(served: Served) -> None:
    work = served.work()
    head = served.head(work)
    objects = served.git("-C", work, "rev-list", "--objects", "--no-object-names", "--all").stdout
    command = ["git", "-C", str(work), "pack-objects", "--stdout", "--quiet"]
    packed = subprocess.run(command, input=objects.encode(), capture_output=True, check=True)
    order = f"{ZERO} {head} refs/heads/main\0report-status".encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/v1/repos/chatbot/git-receive-pack",
        "CONTENT_TYPE": "application/x-git-receive-pack-request",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": f"Basic {base64.b64encode(f'{KEY}:{served.password()}'.encode()).decode()}",
    }
    body = b"%04x%s0000%s" % (len(order) + 4, order, packed.stdout)
    statuses: list[str] = []
    answer = served.repositories(
        {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))},
        lambda status, headers: statuses.append(status),
    )
    assert isinstance(answer, Closable)
    answer.close()  # as a server does whose client has closed the connection
    assert (statuses, served.pushes) == (["200 OK"], [("chatbot", "refs/heads/main", ZERO, head)])


# Who may


def request(served: Served, path: str, **headers: str) -> tuple[int, str | None, str]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.headers["WWW-Authenticate"], response.read().decode()


def test_without_credentials_git_is_asked_for_them(served: Served) -> None:
    status, challenge, _ = request(served, "/v1/repos/chatbot/info/refs?service=git-upload-pack")
    assert (status, (challenge or "").split(" ")[0]) == (401, "Basic")


@pytest.mark.parametrize("what", ["secret", "age", "future", "key", "repository", "nonsense"])
def test_a_signature_that_does_not_hold_is_403(served: Served, what: str) -> None:
    served.repositories.create("other")
    password = {
        "secret": served.password(secret="wrong"),
        "age": served.password(age=timedelta(minutes=16)),
        "future": served.password(age=-timedelta(minutes=16)),
        "key": served.password(),
        "repository": served.password("other"),
        "nonsense": "password",
    }[what]
    username = "AKIANOBODY" if what == "key" else KEY
    refused = served.git("ls-remote", served.url("chatbot", username, password), check=False)
    assert "The requested URL returned error: 403" in refused.stderr


def test_a_signature_of_some_minutes_ago_still_holds(served: Served) -> None:
    served.git("ls-remote", served.url(password=served.password(age=timedelta(minutes=14))))


def test_temporary_credentials_carry_their_token_in_the_user_name(served: Served) -> None:
    served.git("ls-remote", served.url(username="ASIATEMPORARY%25IQoJb3JpZ2luX2VjE"))


def test_a_repository_that_is_not_there_is_not_found(served: Served) -> None:
    for name in ("missing", "in.valid.git"):
        refused = served.git("ls-remote", served.url(name), check=False)
        assert "not found" in refused.stderr


def test_only_the_smart_protocol_is_spoken(served: Served) -> None:
    encoded = base64.b64encode(f"{KEY}:{served.password()}".encode()).decode()
    authorization = {"Authorization": f"Basic {encoded}", "Host": "localhost"}
    assert request(served, "/v1/repos/chatbot/info/refs", **authorization)[0] == 403
    assert request(served, "/v1/repos/chatbot/objects/info/packs", **authorization)[0] == 404
    assert request(served, "/v1/repos/chatbot/git-upload-pack", **authorization)[0] == 405
    assert request(served, "/v1/repos/../codecommit/info/refs?service=git-upload-pack", **authorization)[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    path = "/v1/repos/chatbot/git-upload-pack"
    connection.request("POST", path, b"0000", {**authorization, "Content-Type": "text/plain"})
    response = connection.getresponse()
    assert (response.status, len(response.read()) > 0) == (415, True)
    kind = "application/x-git-upload-pack-request"
    broken = gzip.compress(b"0000")[:-3]
    connection.request("POST", path, broken, {**authorization, "Content-Type": kind, "Content-Encoding": "gzip"})
    assert connection.getresponse().status == 400


def test_awss_credential_helper_is_enough(served: Served) -> None:
    pytest.importorskip("awscli")
    helper = "!aws codecommit credential-helper --ignore-host-check $@"
    work = served.work()
    plain = f"http://{served.host}/v1/repos/chatbot"
    options = ("-c", f"credential.helper={helper}", "-c", "credential.useHttpPath=true")
    served.git("-C", work, *options, "push", plain, "main")
    # The remote of git-remote-codecommit, sent here by git's own configuration.
    served.git("config", "--global", f"url.http://{served.host}/v1/repos/.insteadOf", "codecommit::us-east-1://")
    served.git(*options, "clone", "codecommit::us-east-1://chatbot", served.home / "copy")
    assert served.head(served.home / "copy") == served.head(work)


def test_git_remote_codecommit_signs_what_is_accepted(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = pytest.importorskip("git_remote_codecommit")
    from botocore.credentials import Credentials

    for token in (None, "token/with+signs="):
        signed = helper.git_url("chatbot", "v1", "us-east-1", Credentials(KEY, SECRET, token))
        scheme_and_user = signed.replace("git-codecommit.us-east-1.amazonaws.com", served.host)
        served.git("ls-remote", scheme_and_user.replace("https://", "http://"))
    monkeypatch.setenv("CODE_COMMIT_ENDPOINT", served.host)
    signed = helper.git_url("chatbot", "v1", "us-east-1", Credentials(KEY, SECRET))
    served.git("ls-remote", signed.replace("https://", "http://"))


def test_git_remote_codecommit_itself_clones_and_pushes_over_tls_on_the_same_port(
    served: Served, tmp_path: Path
) -> None:
    pytest.importorskip("git_remote_codecommit")
    certificate = tmp_path / "tls.pem"
    endpoint = {"CODE_COMMIT_ENDPOINT": served.host, "GIT_SSL_CAINFO": str(certificate)}
    work = served.work()
    served.git("-C", work, "push", "codecommit::us-east-1://chatbot", "main", env=endpoint)
    served.git("clone", "codecommit::us-east-1://chatbot", served.home / "copy", env=endpoint)
    assert served.head(served.home / "copy") == served.head(work)
    big = served.commit(work, "big", random.Random(3).randbytes(5_000_000))
    served.git("-C", work, "push", "codecommit::us-east-1://chatbot", "main", env=endpoint)
    assert served.repositories.branches("chatbot") == {"main": big}


def test_a_client_that_says_nothing_or_distrusts_the_certificate_keeps_nobody_waiting(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)), socket.create_connection(("127.0.0.1", served.port)):
        distrusting = served.git("ls-remote", served.url().replace("http://", "https://"), check=False)
        assert "certificate" in distrusting.stderr
        served.git("ls-remote", served.url())


def test_a_certificate_is_made_once_and_its_key_is_the_owners(tmp_path: Path) -> None:
    path = make_certificate(tmp_path / "tls.pem")
    content = path.read_bytes()
    assert make_certificate(path).read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
