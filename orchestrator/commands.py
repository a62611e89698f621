"""How a user types a verb: the one place where a command that we print is spelled."""

from __future__ import annotations

_asked_for = "local"


def use(environment: str) -> None:
    """The environment that this process was asked about; errors that know no other tell of commands for it."""
    global _asked_for
    _asked_for = environment


def command(verb: str, environment: str = "") -> str:
    """``verb`` with its options, as it can be typed; for the environment that was asked for where none is named."""
    name = environment or _asked_for
    return f"python -m orchestrator {verb}{'' if name == 'local' else f' --env {name}'}"
