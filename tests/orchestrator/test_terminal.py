"""How a verb ends: by Ctrl-C, within a second, with what goes on; and by a defect, without a traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest
import typer
from botocore.exceptions import ClientError

from orchestrator.config import CHECKOUT, Config
from orchestrator.errors import AwsFailed
from orchestrator.terminal import Terminal, errors
from orchestrator.tools.aws import explained

# A deploy whose one phase waits for a minute, or hangs in a call that knows nothing of Ctrl-C.
PROGRAM = """
import sys, threading
from dataclasses import replace
from orchestrator import cli, phases, runner
from orchestrator.site import Outcome, Site

class Waits:
    name = "network"
    def prepare(self, site): pass
    def answer(self, site): return None
    def stale(self, site, needs): return "not applied"
    def apply(self, site, needs, listener, *, yes, answered):
        print("at work", flush=True)
        if KIND == "waits":
            site.cancel.wait(60, "the load balancer comes up by itself")
        threading.Event().wait(60)

Site.saving = lambda self: ["network"] if KIND == "saves" else []
phases.PHASES = (replace(phases.PHASES[0], work=Waits(), needs=()),)
runner.check_ports = lambda site: None
"""


def _deploy(config: Config, kind: str) -> subprocess.Popen[str]:
    arguments = ["deploy", "--root", str(config.root), "--set", f"environment.name={config.prefix}"]
    program = f"KIND = {kind!r}\n{PROGRAM}\nsys.argv = ['orchestrator', *{arguments!r}]\ncli.main()"
    command = [sys.executable, "-c", program]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("kind", ["waits", "hangs"])
def test_ctrl_c_ends_the_program_whatever_it_waits_for(config: Config, kind: str) -> None:
    with _deploy(config, kind) as running:
        assert running.stdout is not None
        while "at work" not in running.stdout.readline():
            pass
        pressed = time.monotonic()
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=90)
    assert time.monotonic() - pressed < 25
    assert running.returncode == 130, said
    assert "interrupted: nothing more is begun" in said and "Terraform to save" not in said
    assert "go on with: python -m orchestrator deploy" in said
    assert "comes up by itself" in said if kind == "waits" else "was not waited for" in said


def test_a_second_ctrl_c_leaves_terraform_to_its_guard(config: Config) -> None:
    with _deploy(config, "saves") as running:
        assert running.stdout is not None
        while "at work" not in running.stdout.readline():
            pass
        running.send_signal(signal.SIGINT)
        while "waits for Terraform to save the state of network" not in (line := running.stdout.readline()):
            assert line
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=90)
    assert running.returncode == 130, said
    assert "left at once; Terraform goes on saving the state of network" in said


def test_a_defect_of_ours_is_a_sentence_and_its_traceback_a_private_file(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors(Terminal(as_json=True), config.root):
        raise KeyError("oops")
    assert ended.value.exit_code == 1
    said = capsys.readouterr()
    assert "this program made a mistake: KeyError: 'oops' (test_terminal.py line" in said.err
    assert json.loads(said.out)["exit_code"] == 1
    log = config.root / ".orchestrator/defect.log"
    assert "Traceback" in log.read_text() and log.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("AccessDeniedException", "permissions"),
        ("UnauthorizedOperation", "permissions"),
        ("403", "permissions"),
        ("ThrottlingException", "try again"),
        ("PipelineNotFoundException", "orchestrator deploy"),
        ("NoSuchBucket", "orchestrator deploy"),
        ("DeploymentDoesNotExistException", "orchestrator deploy"),
        ("LimitExceededException", "quota"),
        ("DeploymentNotStartedException", "orchestrator status"),
    ],
)
def test_permissions_are_blamed_for_refusals_of_permission_alone(code: str, remedy: str) -> None:
    with pytest.raises(AwsFailed) as failed, explained("asking"):
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "Ask")
    assert remedy in failed.value.remedy
    assert ("permissions" in failed.value.remedy) is (remedy == "permissions")
