"""The two gates: `.ci/run` runs what is not slow, `.ci/slow` the groups of what is; each test is in exactly one.

``python -m tests.gates [COMMIT]`` collects both gates and shows that, and that no test of COMMIT is lost.
``python -m tests.gates --groups`` names the groups, for `.ci/slow`.
"""

from __future__ import annotations

import collections
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
QUICK = "not slow"
# What `pytest.mark.slow(group=…)` may say: each can be run alone, and none takes longer than half an hour on two cores.
GROUPS = {
    "browsers": "what a visitor does, in Chromium, Firefox and WebKit",
    "by_hand": "what is changed behind the tool's back: told, explained and mended",
    "chat": "the chatbot behind its load balancer, and while a release swaps its tasks",
    "docker": "what needs a Docker engine: tasks, whole deployments, an engine that goes away",
    "foreign": "stacks, pipelines and tutorials that others wrote; the AWS configurations that people have",
    "images": "the image: built, run, looked into, audited",
    "releases": "releases that are killed, broken, by hand and from GitHub",
    "resume": "a kill in every phase, and what a cut run leaves to the next",
    "split": "canary and linear: whom a release's traffic meets, counted",
}


def expression(group: str) -> str:
    """What `pytest -m` takes for a group."""
    return f'slow(group="{group}")'


def _collected(folder: Path, marks: str = "") -> list[str]:
    """The ids of the tests that `pytest -m` chooses in a checkout."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", "-m", marks]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode not in (0, 5):  # 5: none was chosen
        raise SystemExit(
            f"pytest --collect-only -m '{marks}' ended {done.returncode} in {folder}\n{done.stdout[-3000:]}"
        )
    return [line for line in done.stdout.splitlines() if line.startswith("tests/") and "::" in line]


def _collected_at(commit: str) -> set[str]:
    """The same, of a commit's files in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="gates-") as folder:
        archive = subprocess.run(["git", "archive", commit], cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        return set(_collected(Path(folder)))


def main(arguments: list[str]) -> int:
    if arguments == ["--groups"]:
        print(*GROUPS)
        return 0
    gates = {"make test": _collected(PROJECT, QUICK)}
    gates |= {f".ci/slow {group}": _collected(PROJECT, expression(group)) for group in GROUPS}
    for name, tests in gates.items():
        print(f"{len(tests):6}  {name}")
    times = collections.Counter(test for tests in gates.values() for test in tests)
    everything = set(_collected(PROJECT))
    wrong = {
        "in no gate": everything - set(times),
        "in more than one": {test for test, count in times.items() if count > 1},
    }
    print(f"{len(everything):6}  in all")
    for commit in arguments:
        before = _collected_at(commit)
        print(f"{len(before):6}  at {commit}; {len(everything - before)} are new")
        wrong[f"of {commit}, lost"] = before - everything
    for what, tests in wrong.items():
        print(f"{len(tests):6}  {what}", *sorted(tests), sep="\n        ")
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
