"""What differs between what serves and what is here: settings that no task has yet, commits that are not released."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator import documents, history, settings
from orchestrator.errors import AwsFailed, BadDocument
from orchestrator.facts import Facts, Json
from orchestrator.releases import Target
from orchestrator.site import Site
from orchestrator.tools import git
from orchestrator.tools.aws import Aws

# How many releases are looked through for one of the image that serves.
WINDOW = 10
TASK_DEFINITION = "taskdef.json"
# Which of a task definition's parts say what it is, not how its tasks run.
APART = frozenset({
    "compatibilities", "family", "image", "registeredAt", "registeredBy", "requiresAttributes", "revision", "status",
    "taskDefinitionArn",
})  # fmt: skip
# Lists in which something that is absent means something.
WHOLE = ("environment", "secrets")


@dataclass(frozen=True)
class Change:
    """One attribute of the tasks: what serves, and what would after a release."""

    attribute: str
    before: str
    now: str


def live_commit(aws: Aws, facts: Facts) -> str:
    """The commit that what serves was built of; empty where no release tells."""
    if not facts.pipeline or not facts.primary or not facts.revision:
        return ""
    deployment = str(facts.primary.get("externalId", ""))
    try:
        if deployment and (commit := history.commit_of(aws, facts.pipeline, deployment)):
            return commit
        # A rollback is no release of the pipeline's, and the first deployment's image mostly is the first release's.
        digest = history.digest_of(facts.revision["containerDefinitions"][0]["image"])
        found = history.recent(aws, Target(facts.network, facts.ecs, facts.pipeline), WINDOW)
    except AwsFailed:  # what released it is gone, as its fault says
        return ""
    return next((each.commit for each in found if digest and each.digest == digest and each.commit), "")


def read(site: Site, facts: Facts, commit: str) -> dict[str, Any]:
    """What waits for a release, where ``commit`` serves: ``settings`` (attribute, before, now), ``commits`` (eight
    digits and subject, the newest first), and the ``command`` that releases them. Empty where nothing does."""
    if facts.revision is None or facts.release_runs:
        return {}
    changes = differences(facts.revision, _wanted(site, facts, commit))
    new = git.log(site.config.root, commit, "HEAD") if commit else []
    if not changes and not new:
        return {}
    command = site.config.command("release" if new else "release --again")
    return {"settings": [asdict(change) for change in changes], "commits": new, "command": command}


def _wanted(site: Site, facts: Facts, commit: str) -> dict[str, Any]:
    """The task definition of the settings as they were applied last: by the ``taskdef.json`` of what serves where the
    checkout has that commit, else by the one that lies here. A change of the file itself is a commit's."""
    image = facts.revision["containerDefinitions"][0]["image"] if facts.revision else ""
    values = {**facts.ecs["placeholders"], "IMAGE1_NAME": image}
    served = git.text_at(site.config.root, commit, TASK_DEFINITION) if commit else None
    if served is not None:
        with suppress(BadDocument):  # it may name a setting that is no more
            return documents.json_of(documents.render(served, values, TASK_DEFINITION))
    here = (site.config.root / TASK_DEFINITION).read_text(encoding="utf-8")
    return documents.json_of(documents.render(here, values, TASK_DEFINITION))


def differences(before: Json, now: Json) -> list[Change]:
    """How the tasks of two task definitions differ: what ``now`` says, and variables and secrets that only ``before``
    has. ECS fills in defaults when it registers one, so what ``now`` does not name is no difference. Images are not
    compared."""
    return [
        Change(_setting_of(attribute), old, new)
        for attribute, old, new in _compared(_by_name(before), _by_name(now), "")
        if old != new
    ]


def _by_name(document: Any) -> Any:
    """The document with lists of named things as mappings, so that order says nothing; values of variables bare."""
    if isinstance(document, Mapping):
        if set(document) in ({"name", "value"}, {"name", "valueFrom"}):
            return str(document.get("value", document.get("valueFrom")))
        named = {key: _by_name(value) for key, value in document.items()}
        return named | {key: {} for key in WHOLE if named.get(key) == []}
    if isinstance(document, list):
        if document and all(isinstance(item, Mapping) and "name" in item for item in document):
            return {item["name"]: _by_name(item) for item in document}
        return [_by_name(item) for item in document]
    return document


def _compared(before: Any, now: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(now, Mapping):
        was = before if isinstance(before, Mapping) else {}
        gone = [key for key in was if key not in now] if path.rpartition(".")[2] in WHOLE else []
        for key in [*now, *gone]:
            if key not in APART:
                yield from _compared(was.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _compared(old, new, f"{path}.{index}")
    else:
        yield path, _text(before), _text(now)


def _text(value: Any) -> str:
    """An unset variable is an empty one to the chatbot."""
    return "" if value is None or value == [] or value == {} else str(value)


def _setting_of(attribute: str) -> str:
    """The setting that a user changed, where the last part of a path is one; else the part itself."""
    last = attribute.rpartition(".")[2]
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in last)
    for name in (last.lower(), snake):
        if settings.find("ecs", name):
            return f"ecs.{name}"
    return last
