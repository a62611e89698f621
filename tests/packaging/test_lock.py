"""requirements.txt is what setup.cfg asks for: next year's `make install` is today's."""

from __future__ import annotations

import configparser
import importlib.util
import re
from pathlib import Path

import gradio

from orchestrator.config import CHECKOUT

_NAME = re.compile(r"^([A-Za-z0-9_.-]+)(?:==(\S+))?$", re.MULTILINE)


def _asked_for() -> dict[str, str]:
    """Version by name; empty where any will do."""
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    texts = [parser["options"]["install_requires"], *parser["options.extras_require"].values()]
    return {name.lower().replace("_", "-"): version for text in texts for name, version in _NAME.findall(text)}


def _locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (CHECKOUT / name).read_text(), re.MULTILINE))


def test_the_lock_has_all_that_setup_cfg_asks_for_in_its_version() -> None:
    locked = _locked("requirements.txt")
    for name, version in _asked_for().items():
        assert name in locked, f"{name} is not in requirements.txt: make lock"
        assert version in ("", locked[name]), f"{name} is {locked[name]} in requirements.txt: make lock"


def test_the_model_is_the_same_in_the_image_and_here() -> None:
    assert _locked("chatbot/requirements/model.txt")["xllamacpp"] == _locked("requirements.txt")["xllamacpp"]


def test_every_locked_package_has_a_hash() -> None:
    for name in ("requirements.txt", "requirements-terraform.txt"):
        entries = re.split(r"\n(?=\S)", (CHECKOUT / name).read_text().strip())
        assert entries and all("--hash=sha256:" in entry for entry in entries)


def test_make_install_leaves_compiled_packages() -> None:
    assert Path(importlib.util.cache_from_source(gradio.__file__)).is_file(), "each task would compile Gradio anew"
