"""What a phase that is a Terraform stack does."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.errors import DeployError, Interrupted, Refused
from orchestrator.settings import TABLES
from orchestrator.site import Answers, Outcome, Site
from orchestrator.tools import archive, recovery, service
from orchestrator.tools.terraform import Stack
from orchestrator.tools.terraform_events import Listener, Reader, silent

# Replacing one of these takes the chatbot down, or its images or its network away.
PRECIOUS = frozenset({
    "aws_codedeploy_deployment_group", "aws_ecr_repository", "aws_ecs_cluster", "aws_ecs_service", "aws_lb",
    "aws_lb_listener", "aws_lb_target_group", "aws_secretsmanager_secret", "aws_subnet", "aws_vpc",
})  # fmt: skip


@dataclass(frozen=True)
class StackWork:
    """``reads``: files outside terraform/ that the HCL reads; ``settings``: other tables that it gets, each as one
    variable; ``hook``: the folder of its Lambda function; ``service``: the ECS service is in it; ``bucket``: it is told
    the state bucket's name."""

    name: str
    reads: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    hook: str = ""
    service: bool = False
    bucket: bool = False

    def prepare(self, site: Site) -> None:
        """``init``: it depends on no other phase, so it runs ahead of the phase's turn."""
        stack = site.terraform.stack(self.name)
        recovery.forget_imports(stack)
        site.terraform.init(stack)

    def answer(self, site: Site) -> dict[str, Any] | None:
        state = site.states.get(self.name)
        return state.output if state else None

    def stale(self, site: Site, needs: Answers) -> str:
        """Why the phase must run; empty when HCL, inputs and state are those of its last success."""
        record, state = site.record(self.name), site.states.get(self.name)
        if state is None or state.output is None:
            return "not applied"
        if record.get("status") != "applied":
            return f"its last run did not end well ({record.get('status', 'no record')})"
        before, now = record.get("fingerprint", {}), self._fingerprint(site, needs)
        changed = [part for part, value in now.items() if before.get(part) != value]
        return f"changed: {', '.join(changed)}" if changed else ""

    def _fingerprint(self, site: Site, needs: Answers) -> dict[str, str]:
        state = site.states.get(self.name)
        inputs = json.dumps(self._inputs(site, needs), sort_keys=True).encode()
        return {
            "HCL": _hcl_hash(site.terraform.stack(self.name), [site.config.root / file for file in self.reads]),
            "inputs": hashlib.sha256(inputs).hexdigest(),
            "state": state.identity if state else "",
        }

    def _inputs(self, site: Site, needs: Answers) -> dict[str, Any]:
        """The stack's variables: its own table, and what it needs, each under the name of its phase."""
        config = site.config
        table = config.table(self.name) if self.name in TABLES else {}
        values: dict[str, Any] = {key: value for key, value in table.items() if value is not None}
        values |= {"name": config.prefix, "region": config.region, "tags": config.tags, "account": site.aws.account()}
        values |= {name: config.table(name) for name in self.settings}
        values |= {name: dict(answer) for name, answer in needs.items()}
        if self.bucket:
            values |= {"state_bucket": site.bucket.name, "sources": site.bucket.sources}
        if self.hook and config.get("ecs", "hook"):
            values["hook_package"] = self._hook_package(site)
        return values

    def _hook_package(self, site: Site) -> dict[str, str]:
        stack = site.terraform.stack(self.name)
        stack.make_scratch()
        target = stack.scratch / "hook.zip"
        digest = archive.pack(site.config.root / self.hook, target)
        # Relative, so that another checkout plans no change.
        return {"path": f"../../../{target.relative_to(site.config.root).as_posix()}", "hash": digest}

    def apply(
        self, site: Site, needs: Answers, listener: Listener, *, yes: bool, answered: Callable[[], None]
    ) -> Outcome:
        began = time.monotonic()
        stack = site.terraform.stack(self.name)
        cut = _was_cut(site.record(self.name))
        recovery.release_stale_lock(site.bucket, site.terraform, stack, site.say, site.cancel)
        recovery.push_errored_state(site.terraform, stack, site.say, ours=cut)
        site.terraform.set_variables(stack, self._inputs(site, needs))
        # Before any release, this is what serves: the one that a rollback of the first release goes back to.
        kept = {key: site.record(self.name)[key] for key in ("first",) if key in site.record(self.name)}
        site.put_record(self.name, {**kept, "status": "applying", "since": _now()})
        saved = False
        try:
            reader = self._apply(site, stack, listener, cut=cut, yes=yes)
            state = site.refetch(self.name)
            saved = True
            answered()
            if self.service and state and state.output:
                service.wait(site.aws, state.output, needs["network"], listener, site.cancel)
                kept = kept or {"first": service.live_revision(site.aws, state.output)}
        except DeployError as error:
            recovery.push_errored_state(site.terraform, stack, site.say, ours=True)
            status = "refused" if isinstance(error, Refused) else "failed"
            # What a cut run made is still unsaved, and so may be what an interrupted Terraform was creating.
            cut = (cut or isinstance(error, Interrupted)) and not saved
            record = {**kept, "status": status, "since": _now(), "error": str(error)[:2000], "cut": cut}
            site.put_record(self.name, record)
            raise
        seconds = time.monotonic() - began
        site.put_record(
            self.name,
            {
                **kept,
                "status": "applied",
                "since": _now(),
                "seconds": round(seconds, 1),
                "fingerprint": self._fingerprint(site, needs),
            },
        )
        result = "applied" if reader.changes or reader.code == 2 else "unchanged"
        return Outcome(self.name, result, _summary(reader), seconds, tuple(reader.changes))

    def _apply(self, site: Site, stack: Stack, listener: Listener, *, cut: bool, yes: bool) -> Reader:
        terraform = site.terraform
        state = site.states.get(self.name)
        if not cut and not (state and state.managed):
            # Nothing exists, so nothing can be replaced: planning and applying at once spares seconds.
            return terraform.apply(stack, listener)
        planned, _ = _plan(site, stack, listener, cut=cut)
        if planned.code == 0:
            return planned
        # A stack without its output never served anyone: what a cut run left half made may be made anew.
        if not yes and state and state.output:
            _refuse_replacement(planned, site.config.command("deploy --yes"))
        applied = terraform.apply(stack, listener, planned=planned)
        applied.changes = planned.changes
        return applied

    def plan(self, site: Site, needs: Answers, listener: Listener) -> Outcome:
        began = time.monotonic()
        stack = site.terraform.stack(self.name)
        self.prepare(site)
        recovery.release_stale_lock(site.bucket, site.terraform, stack, site.say, site.cancel, patience=0)
        site.terraform.set_variables(stack, self._inputs(site, needs))
        reader = site.terraform.plan(stack, listener, keep=False)
        result = "planned" if reader.code == 2 else "unchanged"
        return Outcome(self.name, result, _summary(reader), time.monotonic() - began, tuple(reader.changes))

    def destroy(self, site: Site, needs: Answers, listener: Listener) -> Outcome:
        began = time.monotonic()
        state = site.states.get(self.name)
        if (state is None or not state.managed) and not _was_cut(site.record(self.name)):
            return Outcome(self.name, "skipped", "there is nothing")
        stack = site.terraform.stack(self.name)
        self.prepare(site)
        recovery.release_stale_lock(site.bucket, site.terraform, stack, site.say, site.cancel)
        recovery.push_errored_state(site.terraform, stack, site.say, ours=True)
        site.terraform.set_variables(stack, self._inputs(site, needs))
        if _was_cut(site.record(self.name)):
            planned, found = _plan(site, stack, silent, cut=True)
            if found:
                # A destroying plan takes no imports, so what was half made is completed before it goes.
                site.terraform.apply(stack, listener, planned=planned)
        reader = site.terraform.destroy(stack, listener)
        if self.service:
            service.deregister(site.aws, site.config.prefix)
        site.refetch(self.name)
        site.put_record(self.name, {"status": "destroyed", "since": _now()})
        return Outcome(self.name, "destroyed", f"{reader.done} destroyed", time.monotonic() - began)


def _plan(site: Site, stack: Stack, listener: Listener, *, cut: bool) -> tuple[Reader, bool]:
    """A plan that makes nothing a second time, and whether it takes what a ``cut`` run had made into the state."""
    planned = site.terraform.plan(stack, listener)
    planned = recovery.keep_tainted(site.aws, site.terraform, stack, planned, site.say, listener)
    return recovery.adopt(site.aws, site.terraform, stack, planned, site.say) if cut else (planned, False)


def _was_cut(record: Mapping[str, Any]) -> bool:
    """Whether resources may exist that no state knows: a run was cut off, and none has come through since."""
    return record.get("status") == "applying" or bool(record.get("cut"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _summary(reader: Reader) -> str:
    counts: dict[str, int] = {}
    for change in reader.changes:
        counts[change.action] = counts.get(change.action, 0) + 1
    return ", ".join(f"{count} to {action}" for action, count in sorted(counts.items())) or "no changes"


def _refuse_replacement(planned: Reader, command: str) -> None:
    lost = [
        f"{change.action} {change.address}"
        for change in planned.changes
        if change.type in PRECIOUS and change.action in ("replace", "delete") and change.reason != "tainted"
    ]
    if lost:
        raise Refused(
            f"this change would take the chatbot down or lose data: {'; '.join(lost)}",
            f"take the change of settings back, or accept it: {command}",
        )


def _hcl_hash(stack: Stack, more: list[Path]) -> str:
    """The stack's files, those of every module that it names, directly or not, and what they read."""
    digest = hashlib.sha256()
    for folder in sorted(_module_folders(stack.folder)):
        for file in sorted(folder.rglob("*")):
            relative = file.relative_to(folder)
            aside = {"tests", "__pycache__", ".terraform"}.intersection(relative.parts) or file.suffix == ".tfstate"
            if file.is_file() and not aside:
                _update(digest, f"{folder.name}/{relative.as_posix()}", file)
    for file in more:
        if file.is_file():
            _update(digest, file.name, file)
    return digest.hexdigest()


def _update(digest: Any, name: str, file: Path) -> None:
    digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())


def _module_folders(folder: Path) -> set[Path]:
    found, queue = {folder}, [folder]
    while queue:
        current = queue.pop()
        for file in current.glob("*.tf"):
            for source in re.findall(r'source\s*=\s*"(\.{1,2}/[^"]+)"', file.read_text(encoding="utf-8")):
                module = (current / source).resolve()
                if module.is_dir() and module not in found:
                    found.add(module)
                    queue.append(module)
    return found
