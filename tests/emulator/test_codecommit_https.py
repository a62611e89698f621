"""`git-remote-codecommit`, which speaks https alone, against the running emulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.emulator import Emulator

pytest.importorskip("git_remote_codecommit", reason="git-remote-codecommit is not installed")


def test_a_codecommit_remote_is_cloned_and_pushed_unmodified(emulator: Emulator, tmp_path: Path) -> None:
    codecommit = emulator.store.clients("codecommit")
    codecommit.create_repository(repositoryName="chatbot")
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
        "CODE_COMMIT_ENDPOINT": f"localhost:{emulator.store.config.port}",
        "GIT_SSL_CAINFO": str(emulator.store.folder / "tls.pem"),
        "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Ada",
        "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "ada@example.com",
    }  # fmt: skip

    def git(*argv: str, where: Path = tmp_path) -> None:
        done = subprocess.run(["git", *argv], cwd=where, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    git("clone", "codecommit::us-east-1://chatbot", "copy")
    copy = tmp_path / "copy"
    (copy / "page.txt").write_text("hello")
    git("add", "page.txt", where=copy)
    git("commit", "--message", "A page", where=copy)
    git("push", "origin", "HEAD:main", where=copy)
    assert codecommit.get_file(repositoryName="chatbot", filePath="page.txt")["fileContent"] == b"hello"
