"""The packages of the image against the advisories that PyPI knows, where they can be reached."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from orchestrator.config import CHECKOUT

pytestmark = pytest.mark.slow(group="images")
LOCKS = ("chatbot/requirements/app.txt", "chatbot/requirements/model.txt")
# Advisories that were looked at and do not concern the chatbot: identifier -> why.
ACCEPTED: dict[str, str] = {}


def test_no_package_of_the_image_has_a_known_vulnerability_with_a_remedy() -> None:
    pytest.importorskip("pip_audit", reason="pip-audit is not installed")
    requirements = [flag for lock in LOCKS for flag in ("--requirement", lock)]
    options = ["--disable-pip", "--no-deps", "--require-hashes", "--progress-spinner=off", "--format=json"]
    command = [sys.executable, "-m", "pip_audit", *options, *requirements]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    if not done.stdout.startswith("{"):
        assert "Connection" in done.stderr or "timed out" in done.stderr.lower(), done.stderr[-2000:]
        pytest.skip("network: PyPI's advisories cannot be reached")
    packages = json.loads(done.stdout)["dependencies"]
    assert len(packages) > 50
    # Where the advisories are out of reach, pip-audit skips every package, and still finds "no vulnerabilities".
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        pytest.skip(f"network: no advisories for any package ({packages[0]['skip_reason']})")
    found = {
        f"{package['name']} {package['version']}: {advisory['id']}, fixed in {', '.join(advisory['fix_versions'])}"
        for package in audited
        for advisory in package["vulns"]
        if advisory["fix_versions"] and advisory["id"] not in ACCEPTED
    }
    assert not found
