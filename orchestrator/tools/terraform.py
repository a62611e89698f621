"""Terraform, one stack at a time: python-terraform spells the commands, ``process`` runs them, the events are read.

Commands are values, so a test can look at them. python-terraform's own ``apply`` and ``destroy`` are not used: they
overwrite ``auto-approve``, send ``-force``, and buffer the output.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.errors import Diagnostic, Interrupted, Locked, TerraformFailed
from orchestrator.tools import process, terraform_program
from orchestrator.tools.aws import Aws
from orchestrator.tools.bucket import Bucket
from orchestrator.tools.terraform_events import Listener, Reader, silent

# https://developer.hashicorp.com/terraform/plugin/best-practices/naming: terraform-provider-<name>, with its version.
PLUGIN = "terraform-provider-"


@dataclass(frozen=True)
class Stack:
    """A Terraform root and its scratch folder, which may be deleted at any time."""

    name: str
    root: Path
    scratch: Path

    @property
    def folder(self) -> Path:
        return self.root / "terraform/stacks" / self.name

    def make_scratch(self) -> None:
        """Makes the scratch folder; everything under ``.orchestrator`` is its owner's alone."""
        process.make_private(self.root / ".orchestrator")
        self.scratch.mkdir(parents=True, exist_ok=True)

    @property
    def lock_file(self) -> Path:
        return self.folder / ".terraform.lock.hcl"

    @property
    def variables(self) -> Path:
        return self.scratch / f"{self.name}.tfvars.json"

    @property
    def plan(self) -> Path:
        return self.scratch / "plan.tfplan"

    @property
    def log(self) -> Path:
        return self.scratch / "terraform.log"

    @property
    def import_blocks(self) -> Path:
        """Where import blocks lie while an adopting plan is made."""
        return self.folder / "adopted.generated.tf"

    @property
    def errored_state(self) -> Path:
        """Where Terraform leaves a state that it could not save."""
        return self.folder / "errored.tfstate"


def spell(verb: str, *arguments: str, **options: Any) -> list[str]:
    """Terraform's arguments; ``json=FLAG`` is a plain flag, a dict of backend_config several."""
    from python_terraform import Terraform

    command: list[str] = Terraform().generate_cmd_string(verb, *arguments, **options)
    return command[1:]


def flag() -> Any:
    from python_terraform import IsFlagged

    return IsFlagged


def init_command(backend: Mapping[str, str]) -> list[str]:
    return spell(
        "init", input=False, json=flag(), reconfigure=flag(), lockfile="readonly", backend_config=dict(backend)
    )


def plan_command(stack: Stack, *, keep: bool) -> list[str]:
    """``keep`` saves the plan for an apply; only looking leaves no file behind that a deploy could meet."""
    return spell(
        "plan",
        input=False,
        json=flag(),
        detailed_exitcode=flag(),
        var_file=str(stack.variables),
        out=str(stack.plan) if keep else None,
    )


def apply_command(stack: Stack, *, planned: bool) -> list[str]:
    """Applies the saved plan; without one, plans and applies in one go, which spares a start of the provider."""
    if planned:
        return spell("apply", str(stack.plan), input=False, json=flag())
    return spell("apply", input=False, json=flag(), auto_approve=flag(), var_file=str(stack.variables))


def destroy_command(stack: Stack) -> list[str]:
    return spell("destroy", input=False, json=flag(), auto_approve=flag(), var_file=str(stack.variables))


class Terraform:
    """Runs Terraform for one environment; every method may be called for several stacks at the same time."""

    def __init__(self, aws: Aws, bucket: Bucket) -> None:
        self._aws = aws
        self._bucket = bucket
        self._running: dict[process.Guarded, str] = {}
        self._interrupted = False
        # A signal handler takes it, perhaps in the middle of its own thread's turn.
        self._lock = threading.RLock()
        # Terraform's plugin cache is not safe for two inits at a time; with a mirror there is no cache.
        self._cache_lock = threading.Lock()

    def stack(self, name: str) -> Stack:
        config = self._aws.config
        return Stack(name, config.root, config.scratch / name)

    @cached_property
    def program(self) -> terraform_program.Program:
        return terraform_program.find()

    def init(self, stack: Stack) -> bool:
        """Prepares the stack's ``TF_DATA_DIR``; nothing to do (False) when it was prepared with the same inputs."""
        backend = self._backend(stack)
        mirror = terraform_program.mirror(terraform_program.locked_version(stack.lock_file))
        config = terraform_program.cli_config(mirror, self._aws.config.root / ".orchestrator/plugins")
        stamp = _stamp(stack, backend, config, self.program.version)
        stamp_file = stack.scratch / "init.stamp"
        data = stack.scratch / "data"
        ready = (data / "terraform.tfstate").is_file() and (data / "providers").is_dir()
        if ready and stamp_file.is_file() and stamp_file.read_text(encoding="utf-8") == stamp:
            return False
        stack.make_scratch()
        (stack.scratch / "terraform.rc").write_text(config, encoding="utf-8")
        if mirror is None:
            (stack.root / ".orchestrator/plugins").mkdir(parents=True, exist_ok=True)
            with self._cache_lock:
                self._run(stack, init_command(backend))
        else:
            self._run(stack, init_command(backend))
        stamp_file.write_text(stamp, encoding="utf-8")
        return True

    def _backend(self, stack: Stack) -> dict[str, str]:
        backend = {
            "bucket": self._bucket.name,
            "key": self._bucket.key(f"{stack.name}.tfstate"),
            "region": self._aws.config.region,
            "use_lockfile": "true",
        }
        if self._aws.config.endpoint_url:
            backend |= {"use_path_style": "true"}
        return backend

    def set_variables(self, stack: Stack, values: Mapping[str, Any]) -> None:
        stack.make_scratch()
        stack.variables.write_text(json.dumps(values, indent=2, sort_keys=True), encoding="utf-8")

    def plan(self, stack: Stack, listener: Listener = silent, *, keep: bool = True) -> Reader:
        """What would change; ``code`` 0 when nothing would, 2 when something would (an output alone, too)."""
        return self._run(stack, plan_command(stack, keep=keep), listener, good=(0, 2))

    def apply(self, stack: Stack, listener: Listener = silent, *, planned: Reader | None = None) -> Reader:
        reader = Reader(listener, total=planned.total if planned else 0)
        return self._run(stack, apply_command(stack, planned=planned is not None), listener, reader=reader)

    def destroy(self, stack: Stack, listener: Listener = silent) -> Reader:
        return self._run(stack, destroy_command(stack), listener)

    def show_plan(self, stack: Stack) -> dict[str, Any]:
        """The saved plan as JSON (its planned values are what adoption looks things up by)."""
        command = [*self.program.command, *spell("show", str(stack.plan), json=flag())]
        answer = process.run(command, cwd=stack.folder, env=self._environment(stack))
        if answer.code:
            found = _from_text(answer.err.splitlines(), answer.code)
            raise TerraformFailed(stack.name, "show", found, str(stack.log))
        shown: dict[str, Any] = json.loads(answer.out)
        return shown

    def push_state(self, stack: Stack, file: Path) -> None:
        self._run(stack, spell("state push", str(file)))

    def untaint(self, stack: Stack, address: str) -> None:
        self._run(stack, spell("untaint", address))

    def force_unlock(self, stack: Stack, lock_id: str) -> None:
        self._run(stack, spell("force-unlock", lock_id, force=flag()))

    def interrupt(self) -> None:
        """Ctrl-C for every Terraform that runs: each saves its state and gives its lock back."""
        with self._lock:
            self._interrupted = True
            running = list(self._running)
        for guarded in running:
            guarded.interrupt()

    def at_work(self) -> list[str]:
        """The stacks whose Terraform runs, or saves its state, now."""
        with self._lock:
            return sorted(self._running.values())

    def _run(
        self,
        stack: Stack,
        arguments: list[str],
        listener: Listener = silent,
        *,
        good: tuple[int, ...] = (0,),
        reader: Reader | None = None,
    ) -> Reader:
        reader = reader or Reader(listener)
        guarded = self._start(stack, [*self.program.command, *arguments])
        try:
            code = guarded.lines(reader.feed)
        finally:
            with self._lock:
                self._running.pop(guarded)
        if self._interrupted and code not in good:
            raise Interrupted(f"terraform {arguments[0]} of stack '{stack.name}' was interrupted; its state is saved")
        reader.code = code
        if code not in good:
            _refuse_locked(stack, reader)
            found = tuple(reader.diagnostics) or _from_text(reader.text, code)
            raise TerraformFailed(stack.name, arguments[0], found, str(stack.log))
        return reader

    def _environment(self, stack: Stack) -> dict[str, str]:
        env = self._aws.environment() | {
            "TF_DATA_DIR": str(stack.scratch / "data"),
            "TF_CLI_CONFIG_FILE": str(stack.scratch / "terraform.rc"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        return env | {name: os.environ[name] for name in ("TF_LOG", "TF_LOG_PATH") if name in os.environ}

    def _start(self, stack: Stack, command: list[str]) -> process.Guarded:
        stack.make_scratch()
        env = self._environment(stack)
        with self._lock:
            if self._interrupted:
                raise Interrupted(f"stack '{stack.name}' was not begun")
            guarded = process.Guarded(command, cwd=stack.folder, env=env, log=stack.log)
            self._running[guarded] = stack.name
        (stack.scratch / "terraform.pid").write_text(
            json.dumps({"pid": guarded.pid, "started": process.started(guarded.pid)}), encoding="utf-8"
        )
        return guarded


def left_at_work(stack: Stack) -> list[int]:
    """The Terraforms of earlier runs that are still at work on this stack, and the guards beside them.

    A provider plugin alone does not count: when Terraform was killed (an OOM kill, say) it stays behind for ever, and
    what it does can be saved by nobody.
    """
    try:
        who = json.loads((stack.scratch / "terraform.pid").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        who = {}
    working = {pid for pid in process.at_work_in(stack.folder, "terraform") if not _is_plugin(pid)}
    return sorted(working | ({int(who["pid"])} if process.lives(who) else set()))


def end_orphaned_plugins(stack: Stack) -> int:
    """Ends the provider plugins that a killed Terraform has left on this stack; how many there were.

    Only for a stack on which no Terraform is ``left_at_work``: a living one's plugins are its children.
    """
    plugins = [pid for pid in process.at_work_in(stack.folder, PLUGIN) if _is_plugin(pid)]
    for pid in plugins:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(plugins)


def _is_plugin(pid: int) -> bool:
    return PLUGIN in process.program(pid)


def _refuse_locked(stack: Stack, reader: Reader) -> None:
    for diagnostic in reader.diagnostics:
        if diagnostic.summary == "Error acquiring the state lock":
            lines = [line.strip() for line in diagnostic.detail.splitlines()]
            holder = " ".join(line for line in lines if line.startswith(("Who:", "Created:")))
            raise Locked(f"the state of stack '{stack.name}' is locked by another Terraform ({holder})", "wait for it")


def _stamp(stack: Stack, backend: Mapping[str, str], config: str, version: str) -> str:
    lock = stack.lock_file.read_bytes() if stack.lock_file.is_file() else b""
    sources = "".join(
        line.strip()
        for file in sorted(stack.folder.glob("*.tf"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("source", "module", "required_providers", "backend"))
    )
    parts = json.dumps([dict(backend), config, version, sources]).encode()
    return hashlib.sha256(parts + lock).hexdigest()


def _from_text(lines: list[str], code: int) -> tuple[Diagnostic, ...]:
    """The errors of a command that has no ``-json``: its text from the first ``Error:`` on; or what ended it."""
    if code == 128 + signal.SIGKILL:
        return (Diagnostic("Terraform was killed (signal 9); the kernel does that when memory runs out"),)
    text = [line.lstrip("│╷╵ ").rstrip() for line in lines if line.strip("│╷╵ ")]
    start = next((index for index, line in enumerate(text) if line.startswith("Error:")), max(0, len(text) - 5))
    if not text:
        return (Diagnostic(f"it ended with code {code} and no word"),)
    return (Diagnostic(text[start].removeprefix("Error: "), "\n".join(text[start + 1 :])),)
