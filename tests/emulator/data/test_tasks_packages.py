"""What a bundle's container may import: what its image names, and nothing of the emulator's own."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.data.tasks.packages import LABEL, Packages
from emulator.data.tasks.runtime import Image, PullFailed
from emulator.state.children import Children
from orchestrator.tools import image as builder
from orchestrator.tools.image_source import Source

ROOT = Path(__file__).parents[3]


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    children = Children(tmp_path / "children")
    yield Packages(children, tmp_path / "packages")
    children.close(1)


def wheel(folder: Path, name: str) -> str:
    """A package of one module; the line of a list that names it."""
    file = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    parts = {
        f"{name}.py": "here = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {
        part: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for part, text in parts.items()
    }
    parts[f"{info}/RECORD"] = "".join(f"{part},sha256={sha},\n" for part, sha in hashes.items())
    with zipfile.ZipFile(file, "w") as archive:
        for part, text in parts.items():
            archive.writestr(part, text)
    return f"{name} @ {file.as_uri()} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def image(root: Path, label: str) -> Image:
    return Image("tiny", None, labels={LABEL: label} if label else {}, root=root)


def imports(python: Path, module: str) -> bool:
    command = [python, "-c", f"import {module}"]
    return subprocess.run(command, cwd="/", capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("value", "has"), [("0", False), ("", False), ("1", True)])
def test_a_container_has_what_its_image_names(packages: Packages, tmp_path: Path, value: str, has: bool) -> None:
    (tmp_path / "always.txt").write_text(wheel(tmp_path, "always"))
    (tmp_path / "perhaps.txt").write_text(wheel(tmp_path, "perhaps"))
    python = packages.python(image(tmp_path, f"/always.txt  /perhaps.txt?{value}"))
    assert imports(python, "always") and imports(python, "perhaps") == has
    assert not imports(python, "boto3") and not imports(python, "emulator")


def test_without_a_label_it_has_python_alone(packages: Packages, tmp_path: Path) -> None:
    python = packages.python(image(tmp_path, ""))
    assert imports(python, "json") and not imports(python, "gradio") and not imports(python, "pip")


def test_the_chatbots_image_names_what_its_dockerfile_installs() -> None:
    def label(**arguments: str) -> str:
        return Source(ROOT, arguments=arguments).stage().labels[LABEL]

    app, model = "/app/chatbot/requirements/app.txt", "/app/chatbot/requirements/model.txt"
    assert (label(), label(WITH_MODEL="1")) == (f"{app} {model}?0", f"{app} {model}?1")


@pytest.mark.parametrize(
    ("text", "why"),
    [("nothing @ file:///nowhere/nothing-1.0-py3-none-any.whl", "packages of list.txt cannot be installed"),
     (None, "list.txt is not in the image")],
)  # fmt: skip
def test_what_cannot_be_installed_is_a_pull_that_failed(
    packages: Packages, tmp_path: Path, text: str | None, why: str
) -> None:
    if text:
        (tmp_path / "list.txt").write_text(text)
    for _ in range(2):
        with pytest.raises(PullFailed, match=why):
            packages.python(image(tmp_path, "/list.txt"))


def test_it_is_made_once_and_again_after_one_that_was_killed(packages: Packages, tmp_path: Path) -> None:
    (tmp_path / "always.txt").write_text(wheel(tmp_path, "always"))
    wanted, found = image(tmp_path, "/always.txt"), []
    threads = [threading.Thread(target=lambda: found.append(packages.python(wanted))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [python] = set(found)
    made = python.parents[1]
    inode = (made / "pyvenv.cfg").stat().st_ino
    assert len(found) == 4 and packages.python(wanted) == python and (made / "pyvenv.cfg").stat().st_ino == inode
    (made / "made").unlink()
    (made / "left").touch()
    assert imports(packages.python(wanted), "always") and not (made / "left").exists()


def test_the_label_is_the_one_that_the_builder_looks_for() -> None:
    assert builder.PACKAGES == LABEL
