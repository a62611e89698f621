"""The locked packages have a wheel, of a hash in the lock, on the machine that no test builds an image for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.config import CHECKOUT

pytestmark = pytest.mark.slow(group="images")
# Python and C library of the Dockerfile's base: 3.12 on Debian 12 or later, glibc 2.36.
PYTHON, GLIBC = "3.12", 36


@pytest.mark.parametrize("lock", ["app", "model"])
def test_every_locked_package_is_to_be_had_for_arm64(lock: str, tmp_path: Path) -> None:
    """Resolved, not downloaded: the index says the names and hashes of the wheels."""
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(17, GLIBC + 1)] + ["manylinux2014_aarch64"]
    report, requirements = tmp_path / "report.json", CHECKOUT / f"chatbot/requirements/{lock}.txt"
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-deps",
        "--only-binary=:all:", "--require-hashes", f"--python-version={PYTHON}", "--implementation=cp",
        "--abi=cp312", "--abi=abi3", "--abi=none", *(f"--platform={each}" for each in platforms),
        f"--target={tmp_path / 'none'}", f"--report={report}", f"--requirement={requirements}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode and "connection" in done.stderr.lower():
        pytest.skip("network: the package index cannot be reached")
    assert done.returncode == 0, done.stderr[-2000:]
    wheels = [each["download_info"]["url"].rpartition("/")[2] for each in json.loads(report.read_text())["install"]]
    compiled = [wheel for wheel in wheels if not wheel.endswith("-none-any.whl")]
    assert compiled and all("aarch64" in wheel for wheel in compiled)
    # What a marker leaves out on this Python is in the lock, and not to be installed.
    named = [line for line in requirements.read_text().splitlines() if "==" in line and ";" not in line]
    assert len(wheels) >= len(named) > 0
