"""Makes good what a cut run left behind: Terraform's lock, a state that was not saved, resources outside the state."""

from __future__ import annotations

import json
import socket
import time

from orchestrator.errors import Locked, TerraformFailed
from orchestrator.tools import adoption
from orchestrator.tools.aws import Aws
from orchestrator.tools.bucket import Bucket
from orchestrator.tools.cancel import Cancel, Say
from orchestrator.tools.terraform import Stack, Terraform, end_orphaned_plugins, left_at_work
from orchestrator.tools.terraform_events import Listener, Reader, silent

# A create call that was interrupted ends within its time-out; Terraform then saves the state and goes.
PATIENCE = 180.0  # seconds


def release_stale_lock(
    bucket: Bucket, terraform: Terraform, stack: Stack, say: Say, cancel: Cancel, patience: float = PATIENCE
) -> bool:
    """Releases the stack's Terraform lock when its holder was on this host and is gone; whether there was one.

    A Terraform of a dead run that is still at work (it was interrupted and saves its state) is waited for. One that was
    killed leaves its provider plugins, which would go on changing what the next Terraform looks at: they are ended.
    """
    deadline = time.monotonic() + patience
    told = False
    while lock := bucket.terraform_lock(stack.name):
        who, since = str(lock.get("Who", "")), lock.get("Created")
        if who.rpartition("@")[2] != socket.gethostname():
            raise Locked(
                f"the state of stack '{stack.name}' is locked by {who} since {since} ({lock.get('Operation')})",
                f"wait for it; if it is gone: terraform -chdir={stack.folder} force-unlock {lock.get('ID')}",
            )
        working = left_at_work(stack)
        if not working:
            if ended := end_orphaned_plugins(stack):
                say(f"{stack.name}: ended {ended} provider plugin(s) that a killed Terraform had left")
            terraform.force_unlock(stack, str(lock.get("ID")))
            say(f"{stack.name}: released Terraform's lock of a run that is gone ({who}, since {since})")
            return True
        if time.monotonic() > deadline:
            raise Locked(
                f"a Terraform on this machine still works on stack '{stack.name}' since {since}",
                f"wait for it, or end it: kill -INT {' '.join(map(str, working))}",
            )
        if not told:
            say(f"{stack.name}: waits for the Terraform of the run before, which saves its state")
            told = True
        cancel.wait(0.5, f"the Terraform of the run before goes on saving the state of stack '{stack.name}'")
    return told


def push_errored_state(terraform: Terraform, stack: Stack, say: Say, *, ours: bool) -> bool:
    """Saves the state that Terraform left in ``errored.tfstate`` when it could not reach the bucket.

    ``ours``: the last run of this environment was cut or failed. Terraform itself refuses the state of another lineage.
    """
    if not ours or not stack.errored_state.is_file():
        return False
    kept = stack.scratch / f"errored-{int(time.time())}.tfstate"
    try:
        terraform.push_state(stack, stack.errored_state)
    except TerraformFailed as error:
        say(f"{stack.name}: errored.tfstate belongs to no state of this environment, kept as {kept} ({error})")
        stack.errored_state.rename(kept)
        return False
    stack.errored_state.rename(kept)
    say(f"{stack.name}: saved the state that the run before could not ({kept.name})")
    return True


def keep_tainted(
    aws: Aws, terraform: Terraform, stack: Stack, planned: Reader, say: Say, listener: Listener = silent
) -> Reader:
    """A plan that keeps what would be replaced, and create-first, only because its creation was cut off.

    A name is given once, so a second one beside the first would be refused, today and on every run after.
    """
    if not any(change.reason == "tainted" for change in planned.changes):
        return planned
    kept = [
        change
        for change in terraform.show_plan(stack).get("resource_changes", [])
        if change.get("action_reason") == "replace_because_tainted" and change["change"]["actions"][0] == "create"
    ]
    for change in kept:
        say(f"{stack.name}: keeps {change['address']}, which the run before had not finished making")
        adoption.complete(aws, change["type"], change["change"]["before"]["id"])
        terraform.untaint(stack, change["address"])
    return terraform.plan(stack, listener) if kept else planned


def adopt(aws: Aws, terraform: Terraform, stack: Stack, planned: Reader, say: Say) -> tuple[Reader, bool]:
    """A plan that imports what the cut run created without having saved it, and whether there was any.

    Each round may make more known (a route needs its table's id), so it goes on until a round finds nothing. The import
    blocks lie in the stack's folder only while it is planned: the saved plan carries them. The command ``terraform
    import`` would not do, as it cannot evaluate a ``for_each`` over resources that are not in the state yet.
    """
    imports: dict[str, str] = {}
    while planned.code == 2:
        found = {
            change["address"]: (change["type"], identifier)
            for change in terraform.show_plan(stack).get("resource_changes", [])
            if change["change"]["actions"] == ["create"] and change["address"] not in imports
            if (identifier := adoption.find(aws, change["type"], change["change"].get("after") or {}))
        }
        if not found:
            break
        for address, (resource_type, identifier) in found.items():
            say(f"{stack.name}: takes {address} ({identifier}) into the state: the run before had made it")
            adoption.complete(aws, resource_type, identifier)
            imports[address] = identifier
        stack.import_blocks.write_text("".join(map(_import_block, imports.items())), encoding="utf-8")
        try:
            planned = terraform.plan(stack)
        finally:
            forget_imports(stack)
    return planned, bool(imports)


def _import_block(entry: tuple[str, str]) -> str:
    address, identifier = entry
    return f"import {{\n  to = {address}\n  id = {json.dumps(identifier)}\n}}\n"


def forget_imports(stack: Stack) -> None:
    """Removes the import blocks; a run that was killed while it planned has left them."""
    stack.import_blocks.unlink(missing_ok=True)
