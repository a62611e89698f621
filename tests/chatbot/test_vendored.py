"""chatbot/assets/vendor is what its recipe makes of the packages that it names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

RECIPE = Path(__file__).parent / "vendored"
VENDOR = Path(__file__).parents[2] / "chatbot/assets/vendor"


@pytest.mark.slow(group="foreign")
def test_the_vendored_scripts_are_what_their_recipe_makes(tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    shutil.copytree(RECIPE, tmp_path, dirs_exist_ok=True)
    for command in (["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], ["npm", "run", "build"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    for file in VENDOR.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), f"{file.name}: npm run build in {RECIPE}"
