"""The README's commands for AWS, as printed and in their order, where an emulator is what answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client

from emulator.data.repositories.tls import make_certificate
from emulator.state.moto import ACCOUNT
from tests.chatbot.fake_openai import FakeOpenAI
from tests.e2e.machine import PROJECT, QUICK, Machine, as_shipped

pytestmark = pytest.mark.e2e


def commands() -> list[str]:
    """The block under "On AWS"."""
    section = (PROJECT / "README.md").read_text().partition("\n## On AWS\n")[2]
    return section.partition("```sh\n")[2].partition("```")[0].splitlines()


class User:
    """Somebody who types them. What they choose in the copy of example.toml is all that differs from AWS."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.within: list[str] = []
        shutil.rmtree(machine.folder / "environments")
        (machine.folder / "environments").mkdir()
        (machine.folder / "environments/example.toml").write_text(as_shipped("environments/example.toml"))
        machine.git("add", "--all")
        machine.git("commit", "--quiet", "--message", "As it is published")

    def choose(self) -> None:
        """The endpoint and the account, two ports, and the choice that the README names."""
        machine, file = self.machine, "environments/prod.toml"
        for line, choice in (
            ('# endpoint_url = ""', f'endpoint_url = "{machine.endpoint}"'),
            ('# account = ""', f'account = "{ACCOUNT}"'),
            ("# allow_http = false", "allow_http = true"),
            ("# e.g. production_port = 443", f"production_port = {machine.production_port}"),
            ("# test_port = 8080", f"test_port = {machine.test_port}"),
        ):
            machine.edit(file, f"\n{line}\n", f"\n{choice}\n")
        chosen = tomllib.loads((machine.folder / file).read_text())
        assert {table: list(values) for table, values in chosen.items() if values} == {
            "environment": ["region", "endpoint_url", "account"],
            "network": ["allow_http", "production_port", "test_port"],
        }

    def types(self, command: str) -> str:
        """With make's own installation left out: the tests run in it; where `within` says so, in a namespace."""
        typed = re.sub(r"^make ", f"make --old-file=install BIN={Path(sys.executable).parent} ", command)
        done = subprocess.run(
            [*self.within, "bash", "-c", typed], cwd=self.machine.folder, env=self.machine.environ(), timeout=1200,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout + done.stderr

    def shows(self, name: str, said: str) -> None:
        """Where it is asked for (TABLE=1), what a command printed goes into docs/aws.md, on the ports that AWS has."""
        if not os.environ.get("TABLE"):
            return
        for ours, usual in (
            (self.machine.production_port, 80),
            (self.machine.test_port, 8080),
            (self.machine.port, 4566),
        ):
            said = said.replace(str(ours), str(usual))
        said = re.sub(r" from /\S+| \(/\S+\)", "", said)  # where this machine has its programs
        of_the_emulator = ("make[", "emulator ", "left behind: ")
        lines = "\n".join(line.rstrip() for line in said.strip().splitlines() if not line.startswith(of_the_emulator))
        marker, page = f"<!-- printed: {name} -->", PROJECT / "docs/aws.md"
        before, _, after = page.read_text().partition(marker)
        rest = after.partition("\n```\n")[2] if after.startswith("\n```text\n") else after.removeprefix("\n")
        page.write_text(f"{before}{marker}\n```text\n{lines}\n```\n{rest}")


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with Machine(tmp_path / "machine", environment="prod", variables=QUICK) as machine:  # AWS is there before anybody
        yield User(machine)


def test_the_commands_are_those_that_the_tests_type() -> None:
    assert [line.split()[:2] for line in commands()] == [
        ["cp", "environments/example.toml"], ["make", "doctor"], ["make", "deploy"], ["make", "secret"],
        ["make", "release"], ["make", "destroy"],
    ]  # fmt: skip
    assert all("ENV=prod" in line or "prod.toml" in line for line in commands())


def test_without_a_token_what_is_deployed_is_there_and_says_that_it_has_no_model(user: User) -> None:
    copy, doctor, deploy, _, _, destroy = commands()
    user.types(copy)
    user.choose()
    assert "no token" in user.types(doctor)
    said = user.types(deploy)
    assert user.machine.url in said and "no model" in said
    answer = Client(user.machine.url, verbose=False).predict("Anybody?", api_name="/chat")
    assert "has no model" in str(answer)
    assert "nothing is left" in user.types(destroy)


ROUTER = "router.huggingface.co"
TOKEN = "hf_" + "r" * 34


@pytest.fixture
def router(tmp_path: Path) -> Iterator[FakeOpenAI]:
    """A stand-in for Hugging Face under its own name and port, on an address of loopback that nothing else has."""
    certificate = make_certificate(tmp_path / "router.pem", ROUTER)
    options = {"host": "127.0.0.43", "ssl_certfile": str(certificate)}
    server = FakeOpenAI(key=TOKEN).start(443, **options)
    yield server
    server.stop()


@pytest.mark.slow(group="releases")
def test_all_of_them_in_their_order_as_printed(tmp_path: Path, router: FakeOpenAI) -> None:
    copy, doctor, deploy, secret, release, destroy = commands()
    user = User(Machine(tmp_path / "machine", environment="prod", variables=QUICK))
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n127.0.0.43 {ROUTER}\n")
    # Whoever runs here finds Hugging Face at the stand-in; nothing of this machine is changed.
    user.within = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    user.machine.variables |= {"SSL_CERT_FILE": str(tmp_path / "router.pem")}
    try:
        user.types(f"{sys.executable} -m emulator start --runtime process")
        user.types(copy)
        user.choose()
        user.shows("doctor", user.types(doctor))
        said = user.types(deploy)
        assert "no model" in said
        user.shows("deploy", said)
        (user.machine.folder / "token.txt").write_text(TOKEN)
        said = user.types(secret)
        assert "answered in" in said
        user.shows("secret", said)
        before = len(router.requests)
        user.shows("release", user.types(release))
        answer = Client(user.machine.url, verbose=False).predict("Anybody?", api_name="/chat")
        assert answer.strip() == "You said: Anybody?"
        assert len(router.requests) > before and "no model" not in user.types("make doctor ENV=prod")
        title = "A title of our own"
        user.machine.edit("chatbot/branding.py", 'TITLE = "Chatbot"', f'TITLE = "{title}"')
        user.machine.commit(title)
        user.shows("change", user.types(release))
        assert title in urllib.request.urlopen(user.machine.url, timeout=60).read().decode()
        user.shows("status", user.types("make status ENV=prod"))
        said = user.types(destroy)
        assert "nothing is left" in said
        user.shows("destroy", said)
    finally:
        user.machine.stop()
