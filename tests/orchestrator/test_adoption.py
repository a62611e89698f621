"""Adoption knows every resource that the stacks make."""

from __future__ import annotations

import re

from orchestrator.config import CHECKOUT
from orchestrator.tools import adoption


def _types() -> set[str]:
    files = [file for file in (CHECKOUT / "terraform").rglob("*.tf") if ".terraform" not in file.parts]
    return {kind for file in files for kind in re.findall(r'^resource "(aws_\w+)"', file.read_text(), re.MULTILINE)}


def test_every_resource_type_of_the_stacks_can_be_found_or_put_twice() -> None:
    assert _types() - adoption.FINDERS.keys() - adoption.PUTS == set()
    assert not adoption.PUTS & adoption.FINDERS.keys()
