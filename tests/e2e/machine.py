"""A user's machine in a folder: a copy of the project with a git history, an emulator and ports of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import boto3

from tests.leftovers import MARK
from tests.ports import free_ports

PROJECT = Path(__file__).resolve().parents[2]


# For `variables`: what AWS counts in minutes takes a quarter of it.
QUICK = {"EMULATOR_TIME_SCALE": "4"}


@dataclass
class Machine:
    """`folder` holds the copy; `environment` is the name of its only environment; `variables` are the shell's. Its
    emulator runs within `with`."""

    folder: Path
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: str = "local"
    runtime: str = "process"
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spawned: list[subprocess.Popen[str]] = []
        self.port, self.production_port, self.test_port = free_ports(3)
        _copy_project(self.folder)
        self.write_settings()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A copy of the project")

    @property
    def url(self) -> str:
        return f"http://localhost:{self.production_port}"

    @property
    def test_url(self) -> str:
        return f"http://localhost:{self.test_port}"

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.port}"

    def write_settings(self) -> None:
        """The project's own local.toml on this machine's ports, then `settings`."""
        tables: dict[str, dict[str, Any]] = tomllib.loads(as_shipped("environments/local.toml"))
        tables["environment"]["endpoint_url"] = self.endpoint
        tables["network"] |= {"production_port": self.production_port, "test_port": self.test_port}
        # A test means the same on a machine where a Docker engine happens to run; Docker's own tests say so.
        tables["image"] |= {"builder": "docker" if self.runtime == "docker" else "bundle"}
        for table, values in self.settings.items():
            tables[table] = tables.get(table, {}) | values
        lines: list[str] = []
        for table, values in tables.items():
            lines += [f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
        environments = self.folder / "environments"
        environments.mkdir(exist_ok=True)
        (environments / f"{self.environment}.toml").write_text("\n".join(lines))

    def environ(self) -> dict[str, str]:
        """A clean environment: nothing of AWS, of the test run or of the chatbot."""
        kept = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "TF_PLUGIN_MIRROR", "XDG_RUNTIME_DIR")
        environ = {name: os.environ[name] for name in ("DOCKER_HOST", MARK, *kept) if name in os.environ}
        return environ | {"PYTHONPATH": str(self.folder), "EMULATOR_PORT": str(self.port)} | self.variables

    def command(self, *argv: str) -> list[str]:
        return [sys.executable, "-m", *argv]

    def run(
        self, *argv: str, check: bool = True, timeout: float = 600, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """`python -m argv…` in the copy; a failed run shows what it printed."""
        done = subprocess.run(
            self.command(*argv), cwd=self.folder, env=self.environ(), input=stdin, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(argv)} ended {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            )
        return done

    def spawn(self, *argv: str) -> subprocess.Popen[str]:
        """The same, in the background and in a process group of its own; it ends with the machine."""
        running = subprocess.Popen(
            self.command(*argv), cwd=self.folder, env=self.environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        self._spawned.append(running)
        return running

    def orchestrate(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("orchestrator", *argv, "--env", self.environment, **options)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.run("emulator", "start", "--runtime", self.runtime, timeout=60)

    def stop(self) -> None:
        for running in self._spawned:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
        self.run("emulator", "stop", timeout=60, check=False)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replaces text that must be there."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new))

    def git(self, *argv: str, env: dict[str, str] | None = None) -> str:
        command = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@example.com", *argv]
        done = subprocess.run(command, cwd=self.folder, env=env or self.environ(), capture_output=True, text=True)
        assert done.returncode == 0, f"git {' '.join(argv)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Everything that changed; the commit."""
        self.git("commit", "--all", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def chatbots(self) -> list[int]:
        """Process ids of the chatbots that run as this machine's tasks."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                inside = (process / "cwd").resolve().is_relative_to(self.folder / ".emulator")
                if inside and b"\0-m\0chatbot\0" in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
        return found

    def client(self, service: str) -> Any:
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        return session.client(service, endpoint_url=self.endpoint)


def as_shipped(name: str) -> str:
    """A file that people edit, as the project has it: the last commit's."""
    shown = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=PROJECT, capture_output=True, text=True, check=True)
    return shown.stdout


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(inner)}' for key, inner in value.items())} }}"
    return json.dumps(value) if isinstance(value, str | list) else str(value)


def _copy_project(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        # A person's own environments are none of a test's business.
        if name and not name.startswith("environments/") and (PROJECT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target)
