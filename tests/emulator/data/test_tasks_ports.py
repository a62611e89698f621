"""A port that was promised to one task is nobody else's, whichever emulator asks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emulator.data.tasks.ports import Ports
from tests.gates import PROJECT

# Another emulator of the machine, which would like to have one port or the other.
OTHER = """
import random, sys
from emulator.data.tasks.ports import Ports
random.sample = lambda *_: [int(port) for port in sys.argv[1:]]
print(Ports().take())
"""


def _other_takes(*ports: int) -> int:
    command = [sys.executable, "-c", OTHER, *map(str, ports)]
    return int(subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout)


def test_a_promised_port_is_given_to_no_other_emulators_task_until_it_is_given_back() -> None:
    ports = Ports()
    mine, free = ports.take(), ports.take()
    ports.give_back(free)
    assert _other_takes(mine, free) == free
    ports.give_back(mine)
    assert _other_takes(mine, free) == mine


def test_a_machine_without_a_free_port_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports()
    taken = ports.take()
    monkeypatch.setattr("random.sample", lambda *_: [taken])
    with pytest.raises(OSError, match="no free port"):
        ports.take()
