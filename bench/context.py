"""How long the fingerprint of a context takes: from nothing, unchanged, and with one file changed.

    python -m bench.context [--files 20000] [--json]

Ratios are to `git status` on the same files, whose index does the same: it keeps hashes by size, times and inode.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.tools import context

SETTLED = 2.5  # seconds after which a file's hash is kept


def measure(files: int) -> dict[str, float]:
    """Seconds of each."""
    with tempfile.TemporaryDirectory(prefix="bench-context-") as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        tree = Path(folder, "tree")
        for number in range(files):
            file = tree / str(number // 100) / f"{number}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{number}\n" * 200)
        (tree / ".dockerignore").write_text("**/*.pyc\n.git\n")
        for argv in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", *argv], cwd=tree, check=True)
        time.sleep(SETTLED)

        def fingerprint() -> None:
            context.fingerprint(tree, context.ignores(tree, tree / "Dockerfile"))

        def status() -> None:
            subprocess.run(["git", "status", "--porcelain"], cwd=tree, check=True, capture_output=True)

        found = {"from nothing": _timed(fingerprint), "unchanged": min(_timed(fingerprint) for _ in range(3))}
        (tree / "0/0.txt").write_text("another\n")
        found |= {"one file changed": _timed(fingerprint), "git status": min(_timed(status) for _ in range(3))}
        return found


def _timed(action: Callable[[], None]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.files)
    if options.json:
        print(json.dumps(found))
        return
    print(f"| {options.files} files | s | to git status |\n|---|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {seconds:.2f} | {seconds / found['git status']:.1f} |")


if __name__ == "__main__":
    main()
