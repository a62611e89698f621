"""What runs, for people and for programs: the verdict first, then what is behind it. It only reads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from orchestrator import facts as looking
from orchestrator import health, history, pending
from orchestrator.errors import AwsFailed
from orchestrator.facts import Facts, Json
from orchestrator.health import Health
from orchestrator.releases import Target
from orchestrator.site import Site
from orchestrator.tools import git, secret, traffic
from orchestrator.tools.aws import Aws, code, explained
from orchestrator.tools.page import Seen

# The verdict's word, and its exit code. 2 is what is refused, as everywhere; 3 is `plan --detailed-exitcode`'s.
WORDS = {Seen.UP: "UP", Seen.DOWN: "DOWN", Seen.UNSEEN: "CANNOT BE SEEN FROM HERE"}
EXIT_CODES = {Seen.UP: 0, Seen.DOWN: 1, Seen.UNSEEN: 4}


def read(site: Site) -> dict[str, Any]:
    """Everything at once, as ``--json`` gives it; ``verdict`` is null, and most is absent, where nothing is deployed.
    The site has been surveyed."""
    told: dict[str, Any] = {"environment": site.config.name, "verdict": None, "phases": _phases(site)}
    if not looking.is_deployed(site):
        return told
    seen = health.look(site)
    return told | verdict(seen) | _behind(site, seen)


def verdict(seen: Health) -> dict[str, Any]:
    """What visitors get, why, and every fault with what mends it."""
    page = seen.facts.page
    return {
        "verdict": WORDS[seen.seen],
        "exit_code": EXIT_CODES[seen.seen],
        "url": page.url,
        "page": {"status": page.status, "seconds": page.seconds},
        "why": seen.why,
        "remedy": seen.remedy,
        "faults": [
            {
                "name": fault.name,
                "level": "down" if fault.down else "warning",
                "text": fault.text,
                "remedy": seen.command("repair") if fault.mendable else fault.remedy,
            }
            for fault in seen.faults
        ],
    }


def _phases(site: Site) -> list[dict[str, Any]]:
    return [
        {
            "phase": name,
            "status": site.record(name).get("status", "applied" if answer else "not applied"),
            "since": site.record(name).get("since", ""),
        }
        for name, answer in looking.answers(site).items()
    ]


def _behind(site: Site, seen: Health) -> dict[str, Any]:
    facts, aws = seen.facts, site.aws
    jobs: dict[str, Callable[[], Any]] = {
        "live": lambda: _live(site, facts),
        "last": lambda: _last(aws, facts),
        "image": lambda: _image(aws, facts.revision) if facts.revision else {},
        "token": lambda: _token(aws, facts.secret["name"]),
    }
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool, explained("reading the status"):
        begun = {name: pool.submit(job) for name, job in jobs.items()}
        found = {name: job.result() for name, job in begun.items()}
        found["waiting"] = pending.read(site, facts, found["live"].get("commit", ""))
    return {
        "test_url": facts.network["test_url"],
        "release": _release(facts, seen),
        "colours": _colours(facts),
        "service": _service(facts),
        "alarms": dict(facts.alarms),
        **found,
    }


def _live(site: Site, facts: Facts) -> dict[str, str]:
    """What visitors are served by: commit (when the pipeline released it), digest, task definition, since when."""
    primary, revision = facts.primary, facts.revision
    if primary is None or revision is None:
        return {}
    commit = pending.live_commit(site.aws, facts)
    return {
        "commit": commit,
        "subject": git.subject(site.config.root, commit) if commit else "",
        "digest": history.digest_of(revision["containerDefinitions"][0]["image"]),
        "task_definition": revision["taskDefinitionArn"].rpartition("/")[2],
        "since": _moment(primary.get("createdAt")),
    }


def _last(aws: Aws, facts: Facts) -> dict[str, Any]:
    """The newest release, CodeDeploy's own ways back apart: a `git push` that failed is seen nowhere else."""
    if not facts.pipeline:
        return {}
    try:
        found = history.recent(aws, Target(facts.network, facts.ecs, facts.pipeline), 3)
    except AwsFailed:  # what released is gone, as its fault says
        return {}
    newest = next((each for each in found if each.who != "codeDeployRollback"), None)
    return asdict(newest) if newest else {}


def _release(facts: Facts, seen: Health) -> dict[str, str]:
    """The release that runs: where it is, and what it waits for. Empty when none does."""
    told = {"stage": "", "action": "", "deployment": "", "waits": ""}
    if facts.deployment:
        told |= {"action": facts.deployment["status"], "deployment": facts.deployment["deploymentId"]}
    for stage in facts.stages:
        for action in stage.get("actionStates", []):
            latest = action.get("latestExecution", {})
            if latest.get("status") != "InProgress":
                continue
            waits = f"for you: {seen.command('approve')}" if latest.get("token") else ""
            return told | {"stage": stage["stageName"], "action": action["actionName"], "waits": waits}
    return told if facts.deployment else {}


def _colours(facts: Facts) -> dict[str, Any]:
    weights = {kind: traffic.weights(listener) for kind, listener in facts.listeners.items()}
    return {
        colour: {
            **{kind: traffic.share(weight, group["arn"]) for kind, weight in weights.items()},
            "targets": traffic.states(facts.targets.get(colour, [])),
        }
        for colour, group in facts.network["target_groups"].items()
    }


def _service(facts: Facts) -> dict[str, Any] | None:
    service = facts.service
    if service is None:
        return None
    healths = {
        target["Target"]["Id"]: target["TargetHealth"]["State"]
        for targets in facts.targets.values()
        for target in targets
    }
    return {
        "status": service["status"],
        "desired": service["desiredCount"],
        "running": service["runningCount"],
        "pending": service["pendingCount"],
        "task_sets": [
            {
                "id": task_set["id"],
                "status": task_set["status"],
                "running": task_set.get("runningCount", 0),
                "desired": task_set.get("computedDesiredCount", 0),
                "task_definition": task_set["taskDefinition"].rpartition("/")[2],
            }
            for task_set in service.get("taskSets", [])
        ],
        "tasks": [
            {
                "id": task["taskArn"].rpartition("/")[2],
                "status": task["lastStatus"],
                "task_definition": task["taskDefinitionArn"].rpartition("/")[2],
                "since": _moment(task.get("startedAt") or task.get("createdAt")),
                "health": healths.get(health.address(task), ""),
            }
            for task in facts.tasks
        ],
        "missing": health.why_missing(facts) if service["runningCount"] < service["desiredCount"] else "",
    }


def _image(aws: Aws, revision: Json) -> dict[str, Any]:
    """The image that serves, and when it was pushed: a base that has moved since is not in it."""
    from botocore.exceptions import ClientError

    uri, _, digest = str(revision["containerDefinitions"][0]["image"]).partition("@")
    found = {"uri": uri, "digest": digest, "pushed": "", "days": 0}
    try:
        images = aws.client("ecr").describe_images(
            repositoryName=uri.partition("/")[2], imageIds=[{"imageDigest": digest}]
        )
    except ClientError as error:
        if code(error) in ("ImageNotFoundException", "RepositoryNotFoundException", "InvalidParameterException"):
            return found  # it serves, and nobody can start it again
        raise
    pushed = images["imageDetails"][0]["imagePushedAt"]
    return {**found, "pushed": _moment(pushed), "days": (datetime.now(UTC) - pushed).days}


def _token(aws: Aws, name: str) -> str:
    try:
        found = secret.status(aws, name)
    except AwsFailed:  # gone, or scheduled to be: its fault says which
        return "cannot be read"
    return f"set since {found.since}" if found.is_set else "not set"


def _moment(value: Any) -> str:
    """UTC, as the phases' records have it."""
    return value.astimezone(UTC).isoformat(timespec="seconds") if isinstance(value, datetime) else ""
