"""The base image of the tests that need a Docker engine: Debian with Python, made here for want of a registry.

``python -m tests.docker_base`` makes it (a minute, once) and prints its tag; the Dockerfile takes it as ``BASE_IMAGE``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

REPOSITORY = "chatbot-test-base"
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
# What Debian's slim images leave out, too: documents, translations, and what apt has downloaded.
LEFT_OUT = (
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "var/cache/apt",
    "var/cache/debconf", "var/lib/apt/lists", "var/log",
)  # fmt: skip
BUNDLE = Path("etc/ssl/certs/ca-certificates.crt")
# Where pip, Python and the rest are told of a certificate authority that only this machine knows.
VARIABLES = ("PIP_CERT", "SSL_CERT_FILE")


def ensure() -> str:
    """The tag of the base image, made when the engine does not have it yet."""
    tag = f"{REPOSITORY}:{_recipe()}"
    if docker("image", "inspect", tag, check=False).returncode:
        _make(tag)
    return tag


def certificates() -> Path | None:
    """The bundle of certificate authorities that pip and Python are told of on this machine; None: their own."""
    named = [os.environ[name] for name in VARIABLES if os.environ.get(name)]
    return Path(named[0]) if named and Path(named[0]).is_file() else None


def _recipe() -> str:
    """A hash of what the image is made from, the machine's certificates included."""
    digest = hashlib.sha256(repr((SUITE, PACKAGES, LEFT_OUT, VARIABLES)).encode())
    if bundle := certificates():
        digest.update(bundle.read_bytes())
    return digest.hexdigest()[:12]


def _make(tag: str) -> None:
    with tempfile.TemporaryDirectory(prefix="chatbot-base-") as folder:
        root = Path(folder, "root")
        _run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root))
        for name in LEFT_OUT:
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir(parents=True, exist_ok=True)
        changes = ["LABEL dev.chatbot.test=base"]
        if bundle := certificates():
            shutil.copyfile(bundle, root / BUNDLE)
            changes += [f"ENV {name}=/{BUNDLE}" for name in VARIABLES]
        archive = Path(folder, "root.tar")
        _run("tar", "--directory", str(root), "--create", "--one-file-system", "--file", str(archive), ".")
        docker("import", *(f"--change={change}" for change in changes), str(archive), tag)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout)[-2000:]}")


def docker(*arguments: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Docker's own client; a failure shows what it said."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise RuntimeError(f"docker {arguments[0]} failed: {done.stderr[-2000:]}")
    return done


if __name__ == "__main__":
    print(ensure())
