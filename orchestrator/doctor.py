"""Everything that a deploy needs, looked at before it; each finding with its remedy."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator import phases
from orchestrator.errors import DeployError, Refused
from orchestrator.site import Site, check_ports
from orchestrator.tools import engine, image, model, process, source, terraform_program
from orchestrator.tools.image_source import Source

NEEDED_DISK = 3 * 1024**3


@dataclass(frozen=True)
class Finding:
    """``level``: ok, warning (a deploy works without it) or error."""

    name: str
    level: str
    text: str
    remedy: str = ""


def examine(site: Site) -> list[Finding]:
    """Every check, also after one has failed."""
    return [_guarded(name, check, site) for name, check in CHECKS.items()]


def _guarded(name: str, check: Callable[[Site], Finding], site: Site) -> Finding:
    try:
        return check(site)
    except DeployError as error:
        return Finding(name, "error", error.what, error.remedy)


def _python(site: Site) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    return Finding("python", "ok" if fine else "error", version, "" if fine else "install Python 3.11 or newer")


def _terraform(site: Site) -> Finding:
    program = terraform_program.find()
    return Finding("terraform", "ok", f"{program.version} ({' '.join(program.command)})")


def _provider(site: Site) -> Finding:
    lock = site.config.root / "terraform/stacks/network/.terraform.lock.hcl"
    version = terraform_program.locked_version(lock)
    if not version:
        return Finding("provider", "error", f"{lock} locks no AWS provider", "restore it: git checkout -- terraform")
    mirror = terraform_program.mirror(version)
    if mirror:
        return Finding("provider", "ok", f"hashicorp/aws {version} from {mirror}")
    try:
        socket.create_connection(("registry.terraform.io", 443), timeout=5).close()
    except OSError as error:
        remedy = "allow registry.terraform.io, or set TF_PLUGIN_MIRROR to a folder with the provider"
        return Finding("provider", "error", f"no mirror holds hashicorp/aws {version}, no registry: {error}", remedy)
    return Finding("provider", "ok", f"hashicorp/aws {version} from registry.terraform.io")


def _git(site: Site) -> Finding:
    answer = process.run(["git", "--version"], timeout=10)
    if answer.code:
        return Finding("git", "error", "git does not answer", "install git")
    inside = process.run(["git", "rev-parse", "--is-inside-work-tree"], cwd=site.config.root, timeout=10)
    if inside.code:
        return Finding("git", "warning", "the checkout is no git repository", "git init: releases push commits")
    return Finding("git", "ok", answer.out.strip().removeprefix("git version "))


def _endpoint(site: Site) -> Finding:
    site.aws.probe()
    return Finding("endpoint", "ok", site.config.endpoint_url or "AWS")


def _credentials(site: Site) -> Finding:
    return Finding("credentials", "ok", f"account {site.aws.account()}")


def _state(site: Site) -> Finding:
    exists = site.bucket.exists()
    return Finding("state bucket", "ok", f"{site.bucket.name}{'' if exists else ' (made by the first deploy)'}")


def _source(site: Site) -> Finding:
    config = site.config
    context = (config.root / config.get("image", "context")).resolve()
    inputs = Source(context, config.get("image", "dockerfile")).inputs()
    return Finding("source", "ok", f"{len(inputs)} files into the image")


def _connection(site: Site) -> Finding:
    config = site.config
    repository = config.get("pipeline", "github_repository")
    if not repository:
        return Finding("connection", "ok", "none is needed: the source is CodeCommit")
    arn = config.get("pipeline", "connection_arn") or source.named(site.aws, config.get("environment", "name"))
    if not arn:
        return Finding("connection", "ok", f"phase pipeline makes one; then {source.handshake(repository)}")
    status = source.status_of(site.aws, arn)
    remedy = "" if status == "AVAILABLE" else source.handshake(repository)
    return Finding("connection", "warning" if remedy else "ok", f"to GitHub: {status}", remedy)


def _builder(site: Site) -> Finding:
    return Finding("builder", "ok", image.choose(site.config.get("image", "builder"), site.config.endpoint_url))


def _ports(site: Site) -> Finding:
    if not site.config.endpoint_is_loopback:
        return Finding("ports", "ok", "the load balancer's own")
    if site.bucket.exists():
        site.survey([], ["network"])
    check_ports(site)
    return Finding("ports", "ok", ", ".join(map(str, site.config.listener_ports)))


def _disk(site: Site) -> Finding:
    free = shutil.disk_usage(site.config.root).free
    text = f"{free / 1024**3:.1f} GB free"
    if free < NEEDED_DISK:
        return Finding("disk", "error", text, "free 3 GB: the AWS provider alone unpacks to 700 MB")
    return Finding("disk", "ok", text)


def _documents(site: Site) -> Finding:
    missing = [name for name in ("taskdef.json", "appspec.yaml") if not Path(site.config.root / name).is_file()]
    if missing:
        raise Refused(f"{' and '.join(missing)} are missing", "restore them: git checkout -- taskdef.json appspec.yaml")
    return Finding("documents", "ok", "taskdef.json, appspec.yaml")


def _model(site: Site) -> Finding:
    """What tasks will ask is asked for one token."""
    config = site.config
    if site.bucket.exists():
        site.survey([], ["secret"])
    token = phases.token(site)
    if lack := model.lacks(config, token):
        return Finding("model", "warning", lack, model.remedy(config))
    if not model.is_remote(config, token):
        return Finding("model", "ok", "the one that is in the image")
    reply = model.ask(config, token)
    return Finding("model", "ok" if reply.ready else "warning" if reply.again else "error", reply.text, reply.remedy)


def _engine(site: Site) -> Finding:
    if engine.answers():
        return Finding("docker", "ok", "an engine answers")
    return Finding("docker", "ok", "no engine answers; none is needed: CodeBuild builds for AWS")


CHECKS: dict[str, Callable[[Site], Finding]] = {
    "python": _python,
    "terraform": _terraform,
    "provider": _provider,
    "git": _git,
    "documents": _documents,
    "source": _source,
    "endpoint": _endpoint,
    "credentials": _credentials,
    "state bucket": _state,
    "connection": _connection,
    "builder": _builder,
    "docker": _engine,
    "model": _model,
    "ports": _ports,
    "disk": _disk,
}
