"""Importing Gradio without the half of its start-up that only editors need."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType

TARGET = "gradio.component_meta"
FUNCTION = "create_or_modify_pyi"


class _WithoutStubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports `gradio.component_meta` as it is, then replaces the function that rewrites .pyi files in its package.

    It parses and writes a type stub per component at every start (1.3 s of 3), into a folder that is read-only in a
    container. Guarded: a Gradio without that function is imported unchanged.
    """

    def __init__(self) -> None:
        self._loader: importlib.abc.Loader | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != TARGET:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec) if self._loader else None

    def exec_module(self, module: ModuleType) -> None:
        assert self._loader is not None  # find_spec set it
        self._loader.exec_module(module)
        if callable(getattr(module, FUNCTION, None)):
            setattr(module, FUNCTION, lambda *_args, **_kwargs: None)


def _leave_out_command_lines() -> None:
    """Import no command line that a server never has: Gradio's, and httpx's, which does without when it cannot.

    A fifth of the processor time of a start: typer, rich, Pygments and Gradio's tools for developers.
    """
    for name in ("httpx._main", "httpx2._main"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # an import of it is an ImportError
    command_line = ModuleType("gradio.cli", "Left out by chatbot/startup.py.")
    command_line.deploy = None  # type: ignore[attr-defined]  # `import gradio` takes this one function from it
    sys.modules.setdefault("gradio.cli", command_line)


def prepare() -> None:
    """Call before the first import of Gradio: no stubs, no command lines, no analytics, no telemetry."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"
    if TARGET not in sys.modules and not any(isinstance(finder, _WithoutStubs) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutStubs())
        _leave_out_command_lines()
