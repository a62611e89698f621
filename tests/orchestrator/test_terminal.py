"""Ctrl-C as a person presses it: the program ends within a second, and says what goes on and how to go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from orchestrator.config import CHECKOUT, Config

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
        said, _ = running.communicate(timeout=30)
    assert time.monotonic() - pressed < 10
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
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 130, said
    assert "left at once; Terraform goes on saving the state of network" in said
